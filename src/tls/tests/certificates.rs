//! Certificates made when a test needs them. Nothing here is kept, so nothing expires unasked.

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd,
};

/// A certificate with its chain and key, in PEM.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    /// The certificate, then those between it and the root.
    pub(crate) chain: String,
    pub(crate) key: String,
}

/// Whoever issues certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
    /// Certificates between those issued here and the root.
    between: String,
}

/// When a certificate is valid.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Valid {
    Now,
    Past,
    Future,
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

impl Authority {
    /// One that is its own root.
    pub(crate) fn root(name: &str) -> Self {
        let (params, key) = (authority_params(name), KeyPair::generate().unwrap());
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate, between: String::new() }
    }

    /// One below this.
    #[allow(dead_code, clippy::allow_attributes, reason = "black-box tests need no chain")]
    pub(crate) fn below(&self, name: &str) -> Self {
        let (params, key) = (authority_params(name), KeyPair::generate().unwrap());
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let between = format!("{}{}", certificate.pem(), self.between);
        Self { issuer: Issuer::new(params, key), certificate, between }
    }

    /// Its own certificate, in PEM.
    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A certificate for these names and addresses.
    pub(crate) fn issue(&self, names: &[&str], valid: Valid) -> Issued {
        Self::signed(names, valid, Some(self), IsCa::NoCa)
    }

    /// One that nobody but its own key has signed.
    #[allow(dead_code, clippy::allow_attributes, reason = "not every test binary needs it")]
    pub(crate) fn nobody(names: &[&str]) -> Issued {
        Self::signed(names, Valid::Now, None, IsCa::NoCa)
    }

    /// The same that may issue others, as `openssl req -x509` makes it.
    #[allow(dead_code, clippy::allow_attributes, reason = "not every test binary needs it")]
    pub(crate) fn self_issued(names: &[&str], valid: Valid) -> Issued {
        Self::signed(names, valid, None, IsCa::Ca(BasicConstraints::Unconstrained))
    }

    fn signed(names: &[&str], valid: Valid, by: Option<&Self>, is_ca: IsCa) -> Issued {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "wring test");
        params.distinguished_name.push(DnType::OrganizationName, "Peers");
        (params.not_before, params.not_after) = match valid {
            Valid::Now => (date_time_ymd(2020, 1, 1), date_time_ymd(2099, 1, 1)),
            Valid::Past => (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 2, 3)),
            Valid::Future => (date_time_ymd(2098, 4, 5), date_time_ymd(2099, 1, 1)),
        };
        params.is_ca = is_ca;
        let key = KeyPair::generate().unwrap();
        let certificate = match by {
            Some(authority) => params.signed_by(&key, &authority.issuer).unwrap(),
            None => params.self_signed(&key).unwrap(),
        };
        let between = by.map_or("", |authority| &authority.between);
        let chain = format!("{}{between}", certificate.pem());
        Issued { chain, key: key.serialize_pem() }
    }
}

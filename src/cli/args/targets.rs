//! Flags for many targets and for bodies.

use clap::{ArgAction, Args};

/// What is sent, beyond one URL and one body.
#[derive(Clone, Debug, Default, Args)]
pub struct TargetArgs {
    /// Send what FILE lists (- is stdin), one request a line, by weight
    ///
    /// A line is `[WEIGHT] METHOD URL [@BODYFILE] ['Name: value'…]`. Blanks set words apart;
    /// quotes ('…' or "…") keep blanks in a word, as in a header.
    /// Weights are whole numbers, 1 if left out; without METHOD it is GET, or POST with a body.
    /// Empty lines and those that begin with # are skipped. A line may also be JSON:
    /// {"weight":3,"method":"POST","url":"http://…","headers":{"Name":"value"},"body":"…"}, with
    /// "body_file" instead of "body" for a file. -H adds a header to every request that does not
    /// give it itself. Of any first n requests each has its share by weight, to within one. Given
    /// again, the lists follow one another.
    #[arg(long, value_name = "FILE", help_heading = "Targets", hide_short_help = true)]
    #[arg(action = ArgAction::Append)]
    pub urls: Vec<String>,

    /// Form field as body, urlencoded; may be repeated
    #[arg(long, value_name = "NAME=VALUE", action = ArgAction::Append, hide_short_help = true)]
    #[arg(allow_hyphen_values = true, help_heading = "Bodies")]
    pub form: Vec<String>,
    /// Part of a multipart/form-data body: NAME=VALUE, or NAME=@FILE; may be repeated
    #[arg(long, value_name = "NAME=VALUE", action = ArgAction::Append, hide_short_help = true)]
    #[arg(allow_hyphen_values = true, help_heading = "Bodies")]
    pub multipart: Vec<String>,
    /// JSON as body, checked before it is sent: the text itself, @FILE, or @- for stdin
    #[arg(long, value_name = "BODY", allow_hyphen_values = true, hide_short_help = true)]
    #[arg(help_heading = "Bodies")]
    pub json_body: Option<String>,
    /// Each line of FILE as a body, in turn; FILE may be - for stdin
    ///
    /// --form and --json-body set the Content-Type, unless -H does; --multipart always does. In a URL's path,
    /// in the values of headers and in bodies (but for the files of --multipart) wring fills in
    /// for each request: {{seq}} with its number over all threads, from 0, in 16 digits; {{rand}}
    /// with 16 random hexadecimal digits; {{uuid}} with a random UUID of 36 characters. --seed
    /// repeats them.
    #[arg(long, value_name = "FILE", hide_short_help = true, help_heading = "Bodies")]
    pub body_lines: Option<String>,
}

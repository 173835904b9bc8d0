"""What a right measurement must show: closed forms of queues and pauses, arithmetic on samples.

Knows nothing of wring, servers or clocks. Times of queues are in units of the mean service time.

Sojourn times (waiting and service) of the single server that takes requests in order of arrival, by
model and load; `self_check` holds the functions below to these figures:
"""

import base64
import bisect
import math
import statistics
import struct

# (model, load): (mean, p50, p90, p99, p99.9), mean service 1. D/M/1 is a constant rate with
# exponential service, M/D/1 Poisson arrivals with constant service.
TABLE = {
    ("D/M/1", 0.5): (1.255, 0.870, 2.890, 5.779, 8.669),
    ("D/M/1", 0.8): (2.693, 1.866, 6.200, 12.400, 18.601),
    ("D/M/1", 0.9): (5.179, 3.590, 11.924, 23.849, 35.773),
    ("M/M/1", 0.5): (2.000, 1.386, 4.605, 9.210, 13.816),
    ("M/M/1", 0.8): (5.000, 3.466, 11.513, 23.026, 34.539),
    ("M/M/1", 0.9): (10.000, 6.931, 23.026, 46.052, 69.078),
    ("M/D/1", 0.5): (1.500, 1.000, 2.516, 4.336, 6.168),
    ("M/D/1", 0.8): (3.000, 2.276, 6.012, 11.356, 16.700),
    ("M/D/1", 0.9): (5.500, 4.013, 11.783, 22.898, 34.014),
}
TABLE_QUANTILES = (0.5, 0.9, 0.99, 0.999)
MODELS = ("D/M/1", "M/M/1", "M/D/1")

BATCHES = 20
# Bytes before the counts of HdrHistogram's V2 form, and its cookie without compression: the low
# byte's 0x10 says that counts are LEB128.
V2_HEADER = struct.Struct(">IIIIQQd")
V2_COOKIE = 0x1C849303 | 0x10


class OracleError(Exception):
    """Data that is not what it must be."""


def sojourn_quantile(model, load, p):
    """The closed form's time in the system that a share `p` of all requests does not exceed."""
    if model == "M/M/1":
        return -math.log1p(-p) / (1 - load)
    if model == "D/M/1":
        return -math.log1p(-p) / (1 - decay(load))
    shares = md1_shares(load)
    low, high = 1.0, 2.0
    while md1_waits_at_most(load, shares, high - 1) < p:
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (
            (low, middle) if md1_waits_at_most(load, shares, middle - 1) >= p else (middle, high)
        )
    return high


def sojourn_mean(model, load):
    if model == "M/M/1":
        return 1 / (1 - load)
    if model == "D/M/1":
        return 1 / (1 - decay(load))
    return 1 + load / (2 * (1 - load))


def decay(load):
    """The root s < 1 of s = exp(-(1 - s) / load)."""
    root = 0.0
    for _ in range(10_000):
        root = math.exp(-(1 - root) / load)
    return root


def md1_shares(load, count=600):
    """P(at most i requests in an M/D/1), for each i, by equal crossings up and down each level.

    All terms are positive: Erlang's alternating series loses every digit in the far tail.
    """
    arrivals = [math.exp(-load)]
    for i in range(1, count + 2):
        arrivals.append(arrivals[-1] * load / i)
    # P(at least i arrive during a service), summed from the small end.
    at_least = [0.0] * (count + 3)
    for i in range(count + 1, -1, -1):
        at_least[i] = at_least[i + 1] + arrivals[i]
    found = [1 - load]
    # A far tail is zero in floating point anyway.
    for level in range(count):
        reach = range(max(1, level - 60), level + 1)
        up = found[0] * at_least[level + 1] + sum(found[i] * at_least[level + 2 - i] for i in reach)
        found.append(up / arrivals[0])
    total, shares = 0.0, []
    for share in found:
        total += share
        shares.append(total)
    return shares


def md1_waits_at_most(load, shares, wait):
    """P(waiting <= wait), by the requests found and the j that come in the rest of a service
    (Franx, A simple solution for the M/D/c waiting time distribution, 2001)."""
    whole = math.floor(wait) + 1
    rest = load * (whole - wait)
    # P(waiting requests <= i) = P(in the system <= i + 1).
    term, total = math.exp(-rest), 0.0
    for j in range(whole):
        total += shares[min(whole - j, len(shares) - 1)] * term
        term *= rest / (j + 1)
    return total


def takes_at_most(model, load, time):
    """The share of all requests whose time in the system is not above `time`."""
    if model == "M/M/1":
        return -math.expm1(-time * (1 - load))
    if model == "D/M/1":
        return -math.expm1(-time * (1 - decay(load)))
    return md1_waits_at_most(load, md1_shares(load), time - 1) if time >= 1 else 0.0


def jump(model, load):
    """The share of all requests that take exactly the shortest time: they found a server idle that
    takes the same time for each. Quantiles up to this share are that one time, and the share above
    it is decided by whatever is lost or added on the way."""
    return 1 - load if model == "M/D/1" else 0.0


def freeze_quantile(p, stopped, length, load=0.0):
    """Latency when answers are held back for `stopped` of `length`, at a constant rate that is a
    share `load` of what the target can do. With an endlessly fast one, a share stopped/length is
    late, by times even on (0, stopped). What has waited leaves one after the other, which makes
    the n-th later by n times the gap of the target's answers."""
    return max(0.0, stopped - (1 - p) * length * (1 - load))


def quantile(ordered, p):
    """Of exact values in order: a share `p` at least is not above it."""
    return ordered[max(1, math.ceil(p * len(ordered))) - 1]


def standard_error(values, threshold, share):
    """Standard error of the share of `values` above `threshold` when `share` is the true one.

    Neighbours in a queue are alike, so a run tells less than as many values apart would: how much
    less, the means of its batches show."""
    size = len(values) // BATCHES
    if size == 0:
        raise OracleError(f"{len(values)} values are too few for {BATCHES} batches")
    means = [
        sum(value > threshold for value in values[i * size : (i + 1) * size]) / size
        for i in range(BATCHES)
    ]
    mean = statistics.fmean(means)
    apart = mean * (1 - mean) / size
    inflation = max(1.0, statistics.variance(means) / apart) if apart > 0 else 1.0
    return math.sqrt(share * (1 - share) / (size * BATCHES) * inflation)


class Histogram:
    """Counts in HdrHistogram's buckets, as stored by `wring -o`."""

    def __init__(self, stored):
        """Of an object with `v2` (base64) and `max`."""
        self.max = stored["max"]
        self.buckets = read_v2(base64.b64decode(stored["v2"], validate=True))
        self.sums, total = [], 0
        for _, count in self.buckets:
            total += count
            self.sums.append(total)

    def count(self):
        return self.sums[-1] if self.sums else 0

    def share_above(self, value):
        """Share of the values in buckets that end above `value`."""
        place = bisect.bisect_right(self.buckets, (value, math.inf))
        below = self.sums[place - 1] if place > 0 else 0
        return 1 - below / self.count()

    def quantile(self, p):
        """The highest value of the bucket, never above the exact maximum."""
        if not self.sums:
            raise OracleError("a histogram is empty")
        rank = max(1, math.ceil(p * self.sums[-1]))
        return min(self.max, self.buckets[bisect.bisect_left(self.sums, rank)][0])


def read_v2(data):
    """[(highest value of a bucket, count)] of every bucket that holds something."""
    if len(data) < V2_HEADER.size:
        raise OracleError("a histogram is cut off")
    cookie, length, offset, digits, lowest, _, _ = V2_HEADER.unpack_from(data)
    counts = data[V2_HEADER.size :]
    if cookie != V2_COOKIE or length != len(counts) or offset != 0:
        raise OracleError(
            f"not a V2 histogram: cookie {cookie:#x}, {length} bytes, offset {offset}"
        )
    unit = lowest.bit_length() - 1
    half_bits = (2 * 10**digits - 1).bit_length() - 1
    half = 1 << half_bits
    found, index, at = [], 0, 0
    while at < len(counts):
        number, at = read_zigzag(counts, at)
        if number < 0:
            index -= number
            continue
        if number > 0:
            bucket = max(0, (index >> half_bits) - 1)
            # From the second bucket on, only the upper half of the places is used.
            place = index if index < 2 * half else (index & (half - 1)) + half
            shift = bucket + unit
            found.append((((place + 1) << shift) - 1, number))
        index += 1
    return found


def read_zigzag(data, at):
    """A signed number: seven bits a byte, low ones first; a ninth byte holds eight."""
    value = 0
    for i in range(9):
        if at >= len(data):
            raise OracleError("a histogram's counts are cut off")
        byte = data[at]
        at += 1
        value |= (byte if i == 8 else byte & 0x7F) << (7 * i)
        if i < 8 and byte < 0x80:
            break
    return (value >> 1) ^ -(value & 1), at


def write_zigzag(number):
    value = (number << 1) ^ (number >> 63)
    out = bytearray()
    while value >= 0x80 and len(out) < 8:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def store(counts, largest):
    """What `wring -o` stores, of {index of a bucket: count}; three digits, from 1."""
    out, index = b"", 0
    for place in sorted(counts):
        if place > index:
            out += write_zigzag(index - place)
        out += write_zigzag(counts[place])
        index = place + 1
    data = V2_HEADER.pack(V2_COOKIE, len(out), 0, 3, 1, 2**40, 1.0) + out
    return {"v2": base64.b64encode(data).decode(), "max": largest}


def place_of(value):
    """The index of a value's bucket, three digits, from 1."""
    shift = max(0, value.bit_length() - 11)
    return (shift << 10) + (value >> shift)


def self_check():
    """What is wrong with this file, as a list of sentences."""
    wrong = []

    def expect(name, found, wanted, within=0.0):
        if not abs(found - wanted) <= within:
            wrong.append(f"{name} is {found}, not {wanted}")

    for (model, load), (mean, *quantiles) in TABLE.items():
        expect(f"{model} at {load}, mean", sojourn_mean(model, load), mean, 0.00051)
        for p, wanted in zip(TABLE_QUANTILES, quantiles):
            expect(f"{model} at {load}, {p}", sojourn_quantile(model, load, p), wanted, 0.00051)
            time = sojourn_quantile(model, load, p)
            found = takes_at_most(model, load, time + 1e-9)
            expect(f"{model} at {load}, share up to {p}", found, p, 1e-6)
    expect("no sooner than served", takes_at_most("M/D/1", 0.5, 0.999), 0)
    expect("who does not wait", takes_at_most("M/D/1", 0.8, 1.0), jump("M/D/1", 0.8), 1e-9)
    for load, root in ((0.5, 0.2032), (0.8, 0.6286), (0.9, 0.8069)):
        expect(f"decay at {load}", decay(load), root, 0.00005)
    for p, wanted in ((0.5, 0), (0.75, 2.5), (0.9, 4.0), (0.99, 4.9), (1.0, 5.0)):
        expect(f"5 s of 10 frozen, {p}", freeze_quantile(p, 5, 10), wanted, 1e-9)
    for p, wanted in ((0.9, 0), (0.95, 1.5), (0.99, 2.7), (0.999, 2.97)):
        expect(f"3 s of 30 frozen, {p}", freeze_quantile(p, 3, 30), wanted, 1e-9)
    expect("p50 of 1..100", quantile(range(1, 101), 0.5), 50)
    expect("p99 of 1..100", quantile(range(1, 101), 0.99), 99)
    expect("p100 of 1..100", quantile(range(1, 101), 1.0), 100)
    for p, wanted in ((0.75, 2.55), (0.99, 4.902), (1.0, 5.0), (0.4, 0)):
        expect(
            f"the same at a 50th of the capacity, {p}",
            freeze_quantile(p, 5, 10, 0.02),
            wanted,
            1e-9,
        )
    # Batches of one kind each are one value each; batches that are all alike, as many as there are.
    expect("alike batches", standard_error([0, 1] * 200, 0.5, 0.5), 0.025, 1e-9)
    expect("unlike batches", standard_error([0] * 200 + [1] * 200, 0.5, 0.5), 0.1147, 0.0001)

    # Made by hand from the format's description: nine at 1, a run of zeros, one at index 2047 (the
    # last value known exactly), 300 at the first bucket of two values (2048, 2049).
    by_hand = b"\x01" + b"\x12" + b"\xf9\x1f" + b"\x02\xd8\x04"
    header = V2_HEADER.pack(V2_COOKIE, len(by_hand), 0, 3, 1, 2**40, 1.0)
    try:
        found = read_v2(header + by_hand)
    except OracleError as error:
        found = str(error)
    if found != [(1, 9), (2047, 1), (2049, 300)]:
        wrong.append(f"the histogram made by hand reads as {found}")
    for number in (0, 1, -1, 63, -64, 64, 2**31, -(2**31), 2**62, -(2**62)):
        expect(f"zigzag of {number}", read_zigzag(write_zigzag(number), 0)[0], number)
    values = [1, 2, 2047, 2048, 2049, 2050, 4095, 4096, 10**6, 10**9 + 7, 2**39]
    for value in values:
        ((highest, _),) = read_v2(base64.b64decode(store({place_of(value): 1}, value)["v2"]))
        if not value <= highest <= value * 1.001:
            wrong.append(f"the bucket of {value} ends at {highest}")
    whole = Histogram(store({place_of(1000): 99, place_of(10**6): 1}, 10**6))
    expect("p99 of 99 and 1", whole.quantile(0.99), 1000)
    expect("p99.1 of 99 and 1", whole.quantile(0.991), 10**6, 1000)
    expect("share above 1000 of 99 and 1", whole.share_above(1000), 0.01, 1e-9)
    expect("share above 999 of 99 and 1", whole.share_above(999), 1.0, 1e-9)
    expect("share above all", whole.share_above(2 * 10**6), 0)
    for broken in (header, header + by_hand[:-1], b"\0" * 44, header[:20]):
        try:
            read_v2(broken)
            wrong.append(f"{len(broken)} broken bytes are read as a histogram")
        except OracleError:
            pass
    return wrong

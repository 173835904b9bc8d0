"""What a run is held to: from wring's report and the target's stamps to findings with bounds.

Pure: knows no process and no clock. Times are nanoseconds.
"""

import oracle

CONNECTIONS = 64
# One request in a hundred holds its connection for 100 ms; a queue at load 0.9 is long at times.
CONNECTIONS_MANY = 256
RATES = (1_000, 20_000, 100_000)
# From here on ten values lie above p99.9, which wring then prints.
P99_9_COUNT = 10_000
FREEZE_FROM_S, FREEZE_S, FREEZE_WINDOW_S, FREEZE_RATE = 3, 5, 10, 1_000
STEP_RATE, STEP_S = 20_000, 10
LOADS = (0.5, 0.8, 0.9)
SERVICE_NS = 1_000_000
QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
# A quantile this close to a jump of the closed form is not compared, but one as much again above it.
JUMP_SHARE = 0.05
# Of a share, in standard errors: 27 quantiles are looked at in a run.
BAND_ERRORS = 4
# What sockets and a histogram of three digits may add to a time or take from it.
SLACK_NS, RESOLUTION = 50_000, 0.001
OVERLOAD_RATE, OVERLOAD_CAPACITY, DRAIN_S = 2_000, 1_000, 1
OVERLOAD_SECONDS = (5, 20)
# Set beside a closed loop with one connection.
CLOSED_RATE = 20_000
MIB = 1024**2
US, MS, S = ("µs", 1e3), ("ms", 1e6), ("s", 1e9)
MEBIBYTE = ("MiB", MIB)
PERCENT = ("%", 0.01)
COUNT = ("", 1)


class Finding:
    """One quantity of one run, and the bounds it is held to, all in the unit's base (ns).

    With `always`, it is held to them in every round. `note` says why a bound is broken.
    """

    def __init__(
        self, case, quantity, value, low=None, high=None, unit=COUNT, always=False, note=""
    ):  # fmt: skip
        self.case, self.quantity, self.value = case, quantity, value
        self.low, self.high, self.unit, self.always = low, high, unit, always
        self.note = note

    def holds(self):
        # A comparison with NaN is false.
        return (self.low is None or self.value >= self.low) and (
            self.high is None or self.value <= self.high
        )

    def has_bar(self):
        return self.low is not None or self.high is not None


class Run:
    """One run of wring: its stored result, and what the kernel says of the process."""

    def __init__(self, report, cpu_s, elapsed_s, peak_bytes, loaded_bytes=0):
        self.report, self.cpu_s, self.elapsed_s = report, cpu_s, elapsed_s
        # Of the whole run, and until its window was over.
        self.peak_bytes, self.loaded_bytes = peak_bytes, loaded_bytes


class Stamps:
    """The target's log, in order of arrival, on CLOCK_MONOTONIC."""

    def __init__(self, arrivals_ns, ends_ns):
        self.arrivals_ns, self.ends_ns = arrivals_ns, ends_ns


def field(report, path):
    found = report
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    if found is None:
        raise oracle.OracleError(f"the report has no {path}")
    return found


def offsets_ns(arrivals_ns, start_ns, rate):
    return [at - start_ns - k * 10**9 // rate for k, at in enumerate(arrivals_ns)]


def spread(offsets):
    ordered = sorted(offsets)
    return oracle.quantile(ordered, 0.99) - oracle.quantile(ordered, 0.01)


def validity(case, report):
    """Whether the run counts."""
    is_invalid = field(report, "verdict.kind") == "invalid"
    note = field(report, "verdict.text")
    return Finding(case, "invalid runs", int(is_invalid), 0, 0, always=True, note=note)


def judge_grid(rate, seconds, report, arrivals_ns, closed=None):
    case = f"grid {rate}/s"
    start_ns = field(report, "window_start_monotonic_ns")
    started = field(report, "requests.started")
    yield validity(case, report)
    yield Finding(case, "started less floor(R D)", started - rate * seconds, 0, 0, always=True)
    yield Finding(
        case, "the target's count less started", len(arrivals_ns) - started, 0, 0, always=True
    )
    # Exact: k/R need not be a whole number of nanoseconds.
    early = sum((at - start_ns) * rate < k * 10**9 for k, at in enumerate(arrivals_ns))
    yield Finding(case, "arrivals before k/R", early, 0, 0, always=True)
    offsets = offsets_ns(arrivals_ns, start_ns, rate)
    yield Finding(case, "earliest arrival after k/R", min(offsets), unit=US)
    yield Finding(case, "send lag p50", field(report, "send_lag.total.p50_ns"), unit=US)
    lag = field(report, "send_lag.total.p99_ns")
    yield Finding(case, "send lag p99", lag, None, 30_000, US)
    lag = field(report, "send_lag.total.p99_9_ns")
    yield Finding(case, "send lag p99.9", lag, None, 1_500_000, US)
    yield Finding(case, "arrivals off the grid, p1 to p99", spread(offsets), None, 60_000, US)
    corrected = field(report, "latency.p50_ns")
    yield Finding(case, "corrected p50", corrected, unit=US)
    if closed:
        alone = field(closed, "latency.p50_ns")
        yield Finding(case, "p50 of a closed loop, 1 connection", alone, unit=US)
        yield Finding(case, "corrected p50 over that", corrected / alone, None, 1.1)


def judge_freeze(case, report, stopped_s, window_s, capacity_per_s):
    yield validity(case, report)
    yield Finding(case, "the target's capacity, per second", round(capacity_per_s))
    started = field(report, "requests.started")
    yield Finding(
        case, "started less floor(R D)", started - FREEZE_RATE * window_s, 0, 0, always=True
    )
    for name, p in (("p75", 0.75), ("p90", 0.9), ("p99", 0.99), ("max", 1.0)):
        wanted_ns = 1e9 * oracle.freeze_quantile(
            p, stopped_s, window_s, FREEZE_RATE / capacity_per_s
        )
        within = max(0.01 * wanted_ns, 20e6)
        found = field(report, f"latency.{name}_ns")
        yield Finding(case, f"corrected {name}", found, wanted_ns - within, wanted_ns + within, S)
    # Those in flight at the stop are fewer than one in a hundred; the rest were sent after it.
    service = field(report, "service.p99_ns")
    yield Finding(case, "service p99, which does not show it", service, None, stopped_s * 1e8, S)


def judge_step(report):
    case = "1 % take 100 ms"
    latency = oracle.Histogram(field(report, "histograms.latency"))
    yield validity(case, report)
    started = field(report, "requests.started")
    yield Finding(case, "started less floor(R D)", started - STEP_RATE * STEP_S, 0, 0, always=True)
    yield Finding(case, "corrected p98.9", latency.quantile(0.989), None, 50e6, MS)
    yield Finding(case, "corrected p99.1", latency.quantile(0.991), 100e6, 110e6, MS)
    # The histogram is read by code of our own: it has to say what wring says.
    for name, p in (("p50", 0.5), ("p99", 0.99)):
        differs = latency.quantile(p) - field(report, f"latency.{name}_ns")
        yield Finding(
            case, f"{name} of the stored histogram less the report's", differs, 0, 0, always=True
        )
    differs = latency.count() - field(report, "latency.count")
    yield Finding(case, "its count less the report's", differs, 0, 0, always=True)


def quantiles_of(model, load):
    """`QUANTILES`, but none that a jump decides."""
    top = oracle.jump(model, load)
    return [
        (name, p) if p >= top + JUMP_SHARE else (f"p{100 * (top + 2 * JUMP_SHARE):g}", top + 2 * JUMP_SHARE)
        for name, p in QUANTILES
    ]


def judge_queue(model, load, rate, report, stamps, base_ns):
    case = f"{model} at {load}"
    yield validity(case, report)
    started = field(report, "requests.started")
    served = len(stamps.ends_ns)
    yield Finding(case, "the target's count less started", served - started, 0, 0, always=True)
    sojourns_ns = [end - at for at, end in zip(stamps.arrivals_ns, stamps.ends_ns)]
    start_ns = field(report, "window_start_monotonic_ns")
    if model.startswith("D"):
        # The k-th request was due at k/R exactly.
        truth = offsets_ns(stamps.ends_ns, start_ns, rate)
        measured_by = "latency"
    else:
        # When each was due is known to wring alone; from its arrival on the target knows all.
        truth, measured_by = sojourns_ns, "service"
    truth = sorted(truth)
    histogram = oracle.Histogram(field(report, "histograms.latency"))
    for named in quantiles_of(model, load):
        yield from judge_against_closed_form(
            case, model, load, named, histogram, base_ns, sojourns_ns
        )
    for name, p in QUANTILES:
        true_ns = oracle.quantile(truth, p)
        within = SLACK_NS + 0.01 * true_ns
        differs = field(report, f"{measured_by}.{name}_ns") - true_ns
        title = "corrected" if measured_by == "latency" else "service"
        title = f"{title} {name} less the target's stamps"
        yield Finding(case, title, differs, -within, within, US)


def judge_against_closed_form(case, model, load, named, histogram, base_ns, sojourns_ns):
    """A share `p` of all requests is to stay below the closed form's quantile, give or take what a
    run of this length cannot know. Shares, because a run too short to bound a quantile from above
    still bounds how many may lie beyond it."""
    name, p = named
    form_ns = oracle.sojourn_quantile(model, load, p) * SERVICE_NS
    yield Finding(case, f"{name} in closed form", form_ns, unit=MS)
    yield Finding(case, f"corrected {name} less idle", histogram.quantile(p) - base_ns, unit=MS)
    reach = BAND_ERRORS * oracle.standard_error(sojourns_ns, form_ns, 1 - p)
    at_ns, slack_ns = form_ns + base_ns, SLACK_NS + RESOLUTION * form_ns
    above = histogram.share_above(at_ns)
    low = 1 - p - reach - (histogram.share_above(at_ns - slack_ns) - above)
    high = 1 - p + reach + (above - histogram.share_above(at_ns + slack_ns))
    low = low if low > 0 else None
    yield Finding(case, f"share above {name} in closed form", above, low, high, PERCENT)


def judge_overload(seconds, run):
    case = f"overload {seconds} s"
    report = run.report
    rate, capacity = OVERLOAD_RATE, OVERLOAD_CAPACITY
    count = {
        name: field(report, f"requests.{name}") for name in ("due", "started", "unsent_end", "shed")
    }
    yield validity(case, report)
    right = field(report, "verdict.kind") == "rate not held by the target"
    yield Finding(case, "verdicts of another kind", int(not right), 0, 0, always=True)
    limit_s = seconds + DRAIN_S + 1.5
    yield Finding(
        case, "start to end of wring", run.elapsed_s * 1e9, None, limit_s * 1e9, S, always=True
    )
    lost = count["due"] - count["started"] - count["unsent_end"] - count["shed"]
    yield Finding(case, "due less started, unsent and shed", lost, 0, 0, always=True)
    yield Finding(case, "due less floor(R D)", count["due"] - rate * seconds, 0, 0, always=True)
    half = rate * seconds * (1 - capacity / rate)
    yield Finding(case, "unsent", count["unsent_end"], 0.98 * half, 1.02 * half)
    # The last to start was due at started/R and ended when everything before it had been served.
    last_s = count["started"] / rate
    wanted_ns = (rate - capacity) / capacity * last_s * 1e9
    found = field(report, "latency.max_ns")
    yield Finding(case, "corrected max", found, 0.98 * wanted_ns, 1.02 * wanted_ns, S)
    # In flight are as many as there are connections.
    in_flight_ns = CONNECTIONS / capacity * 1e9
    service = field(report, "service.p99_ns")
    yield Finding(case, "service p99, which does not show it", service, None, 1.5 * in_flight_ns, S)


def judge_memory(short, long):
    seconds = " and ".join(map(str, OVERLOAD_SECONDS))
    case = f"overload {seconds} s"
    yield Finding(case, "peak resident", long.peak_bytes, 1, None, MEBIBYTE)
    # What the allocator has given back by the end decides whether the result needs more: by the
    # length of the run nothing may grow before that.
    growth = abs(long.loaded_bytes - short.loaded_bytes)
    yield Finding(case, "peaks under load apart by", growth, None, MIB, MEBIBYTE)


def judge_cpu(closed, without_spin, spinning):
    case = f"cpu {CLOSED_RATE}/s"
    each = [
        run.cpu_s * 1e9 / field(run.report, "requests.completed")
        for run in (closed, without_spin, spinning)
    ]
    yield validity(case, without_spin.report)
    yield validity(case, spinning.report)
    yield Finding(case, "per request, closed loop, 1 connection", each[0], unit=US)
    yield Finding(case, "per request, --no-spin", each[1], unit=US)
    yield Finding(case, "per request, spinning", each[2], unit=US)
    yield Finding(case, "--no-spin over the closed loop", each[1] / each[0], None, 2)
    lag = field(without_spin.report, "send_lag.total.p99_ns")
    yield Finding(case, "send lag p99, --no-spin", lag, unit=US)

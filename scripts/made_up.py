"""Runs made up: in right ones every bar must hold, in wrong ones the bar that is meant must fail.

A bar that nothing here breaks is reported: a bar that cannot fail proves nothing.
"""

import random

import oracle
from bars import (
    CONNECTIONS,
    FREEZE_FROM_S,
    FREEZE_RATE,
    FREEZE_S,
    FREEZE_WINDOW_S,
    LOADS,
    MIB,
    OVERLOAD_CAPACITY,
    OVERLOAD_RATE,
    QUANTILES,
    SERVICE_NS,
    SLACK_NS,
    STEP_RATE,
    STEP_S,
    Run,
    Stamps,
    judge_cpu,
    judge_freeze,
    judge_grid,
    judge_memory,
    judge_overload,
    judge_queue,
    judge_step,
    quantiles_of,
)

START_NS = 10**15
US_NS, MS_NS, S_NS = 10**3, 10**6, 10**9


def made_up(latencies, service=None, lags=None, **counts):
    """A report with these values; each argument is {ns: how many}."""
    stored = stored_histogram(latencies)
    started = sum(latencies.values())
    requests = {
        "due": started,
        "started": started,
        "completed": started,
        "unsent_end": 0,
        "shed": 0,
    }
    return {
        "window_start_monotonic_ns": START_NS,
        "verdict": {"kind": "schedule kept", "text": "made up"},
        "requests": requests | counts,
        "latency": row_of(stored),
        "service": row_of(stored_histogram(service or latencies)),
        "send_lag": {"total": row_of(stored_histogram(lags or {US_NS: started}))},
        "histograms": {"latency": stored},
    }


def stored_histogram(values):
    places = {}
    for value, count in values.items():
        place = oracle.place_of(value)
        places[place] = places.get(place, 0) + count
    return oracle.store(places, max(values))


def row_of(stored):
    histogram = oracle.Histogram(stored)
    shares = {"p50": 0.5, "p75": 0.75, "p90": 0.9, "p99": 0.99, "p99_9": 0.999}
    row = {f"{name}_ns": histogram.quantile(p) for name, p in shares.items()}
    return row | {"count": histogram.count(), "max_ns": histogram.max}


def changed(report, path, value):
    """A copy with one number replaced, or changed by a function."""
    head, _, rest = path.partition(".")
    if rest:
        return report | {head: changed(report[head], rest, value)}
    return report | {head: value(report[head]) if callable(value) else value}


def tally(values):
    found = {}
    for value in values:
        found[value] = found.get(value, 0) + 1
    return found


def check_bars():
    """What is wrong with the bars, as a list of sentences."""
    wrong = [
        f"{model} at {load}: {name} lies at a jump, so a microsecond decides what is above it"
        for model in oracle.MODELS
        for load in LOADS
        for name, p in quantiles_of(model, load)
        if change_around(model, load, p) > 0.05
    ]
    if change_around("M/D/1", 0.5, 0.5) < 0.4:
        wrong.append("a jump is not seen")
    for name, right, broken in made_up_runs():
        bars = [finding for finding in right if finding.has_bar()]
        wrong += [
            f"{name}: a right run's `{bar.quantity}` fails: {bar.value}, {bar.low} to {bar.high}"
            for bar in bars
            if not bar.holds()
        ]
        failed = set()
        for quantity, findings in broken:
            found = {finding.quantity for finding in findings if not finding.holds()}
            failed |= found
            if quantity not in found:
                wrong.append(f"{name}: `{quantity}` holds for a run made up to break it")
        wrong += [
            f"{name}: nothing tries to break `{bar.quantity}`"
            for bar in bars
            if bar.quantity not in failed
        ]
    return wrong


def change_around(model, load, p):
    """How much of all requests lie within the slack of a quantile."""
    time, slack = oracle.sojourn_quantile(model, load, p), SLACK_NS / SERVICE_NS
    up_to = lambda time: oracle.takes_at_most(model, load, time)
    return up_to(time + slack) - up_to(time - slack)


def made_up_runs():
    """(name, findings of a right run, [(quantity that must fail, findings of a wrong run)])."""
    yield made_up_grid()
    yield made_up_freeze()
    yield made_up_step()
    yield made_up_queue("D/M/1", "M/M/1")
    yield made_up_queue("M/M/1", "D/M/1")
    yield made_up_queue("M/D/1", "M/M/1")
    yield made_up_overload()
    yield made_up_cpu()
    small, large = (Run({}, 0, 0, 20 * MIB, loaded * MIB) for loaded in (17, 18.1))
    broken = [("peaks under load apart by", judge_memory(small, large))]
    broken += [("peak resident", judge_memory(Run({}, 0, 0, 0), Run({}, 0, 0, 0)))]
    yield "memory", list(judge_memory(small, small)), broken


def made_up_grid():
    rate, seconds = 1_000, 10
    arrivals = [START_NS + k * MS_NS + 5_000 + k % 50 * US_NS for k in range(rate * seconds)]
    early, late = arrivals.copy(), arrivals.copy()
    early[5_000] = START_NS + 5_000 * MS_NS - 1
    late[3_000:3_200] = [at + 100 * US_NS for at in arrivals[3_000:3_200]]
    report, closed = made_up({30 * US_NS: rate * seconds}), made_up({30 * US_NS: 1})
    judge = lambda report, arrivals, closed: list(
        judge_grid(rate, seconds, report, arrivals, closed)
    )
    change = lambda path, value: judge(changed(report, path, value), arrivals, closed)
    broken = [
        ("invalid runs", change("verdict.kind", "invalid")),
        ("started less floor(R D)", change("requests.started", rate * seconds - 1)),
        ("started less floor(R D)", change("requests.started", rate * seconds + 1)),
        ("the target's count less started", judge(report, arrivals[:-1], closed)),
        ("arrivals before k/R", judge(report, early, closed)),
        ("send lag p99", change("send_lag.total.p99_ns", 31 * US_NS)),
        ("send lag p99.9", change("send_lag.total.p99_9_ns", 1_501 * US_NS)),
        ("arrivals off the grid, p1 to p99", judge(report, late, closed)),
        ("corrected p50 over that", change("latency.p50_ns", 34 * US_NS)),
    ]
    return "grid", judge(report, arrivals, closed), broken


def made_up_freeze():
    count, judge = FREEZE_RATE * FREEZE_WINDOW_S, lambda report: list(
        judge_freeze("freeze", report, FREEZE_S, FREEZE_WINDOW_S, 10**9)
    )  # fmt: skip
    step_ns = S_NS // FREEZE_RATE
    first, last = FREEZE_FROM_S * FREEZE_RATE, (FREEZE_FROM_S + FREEZE_S) * FREEZE_RATE
    held = tally((last - k) * step_ns for k in range(first, last))
    corrected = held | {30 * US_NS: count - len(held)}
    # What a tool sees that does not count from the intended time.
    service = {30 * US_NS: count - CONNECTIONS, FREEZE_S * S_NS: CONNECTIONS}
    report = made_up(corrected, service)
    blind = judge(made_up(service, service))
    broken = [(f"corrected {name}", blind) for name in ("p75", "p90", "p99")]
    for name in ("p75", "p90", "p99", "max"):
        for factor in (0.985, 1.015):
            path = f"latency.{name}_ns"
            broken.append(
                (f"corrected {name}", judge(changed(report, path, lambda ns: ns * factor)))
            )
    broken += [
        ("service p99, which does not show it", judge(made_up(corrected, corrected))),
        ("started less floor(R D)", judge(changed(report, "requests.started", count - 1))),
        ("invalid runs", judge(changed(report, "verdict.kind", "invalid"))),
    ]
    return "freeze", judge(report), broken


def made_up_step():
    count = STEP_RATE * STEP_S
    share = lambda slow: made_up({30 * US_NS: count - slow, 100_030 * US_NS: slow})
    judge = lambda report: list(judge_step(report))
    right = share(count // 100 + 50)
    off_by = lambda path: judge(changed(right, path, lambda value: value + 1))
    broken = [
        ("corrected p98.9", judge(share(count * 12 // 1000))),
        ("corrected p99.1", judge(share(count * 8 // 1000))),
        ("p50 of the stored histogram less the report's", off_by("latency.p50_ns")),
        ("p99 of the stored histogram less the report's", off_by("latency.p99_ns")),
        ("its count less the report's", off_by("latency.count")),
        ("started less floor(R D)", off_by("requests.started")),
        ("invalid runs", judge(changed(right, "verdict.kind", "invalid"))),
    ]
    return "step", judge(right), broken


def made_up_queue(model, other, load=0.5, seconds=30):
    """A queue played through; taken for one of another kind, it must not pass."""
    rate, draw = round(load * S_NS / SERVICE_NS), random.Random(1).expovariate
    at_ns, free_ns, arrivals, ends = 0, 0, [], []
    for k in range(rate * seconds):
        at_ns = k * S_NS // rate if model == "D/M/1" else at_ns + round(draw(rate / S_NS))
        service_ns = SERVICE_NS if model == "M/D/1" else round(draw(1 / SERVICE_NS))
        free_ns = max(free_ns, at_ns) + service_ns
        arrivals.append(START_NS + at_ns)
        ends.append(START_NS + free_ns)
    base_ns, stamps = 20 * US_NS, Stamps(arrivals, ends)
    report = made_up(tally(end - at + base_ns for at, end in zip(arrivals, ends)))
    judge = lambda model, report, stamps=stamps: list(
        judge_queue(model, load, rate, report, stamps, base_ns)
    )
    broken = [
        (f"share above {name} in closed form", judge(other, report))
        for name, _ in quantiles_of(other, load)
    ]
    slower = tally(round(1.5 * (end - at)) + base_ns for at, end in zip(arrivals, ends))
    broken += [
        (f"share above {name} in closed form", judge(model, made_up(slower)))
        for name, _ in quantiles_of(model, load)
    ]
    title, measured = ("corrected", "latency") if model == "D/M/1" else ("service", "service")
    for name, _ in QUANTILES:
        for factor in (0.9, 1.1):
            differs = changed(report, f"{measured}.{name}_ns", lambda ns: ns * factor)
            broken.append((f"{title} {name} less the target's stamps", judge(model, differs)))
    lost = judge(model, changed(report, "requests.started", len(ends) + 1))
    broken.append(("the target's count less started", lost))
    broken.append(("invalid runs", judge(model, changed(report, "verdict.kind", "invalid"))))
    return model, judge(model, report), broken


def made_up_overload():
    seconds, started = 5, OVERLOAD_CAPACITY * 5 + CONNECTIONS
    due = OVERLOAD_RATE * seconds
    # Each starts when one before it ends, half as fast as they become due.
    latencies = {(k + 1) * S_NS // OVERLOAD_RATE: 1 for k in range(started)}
    service = {CONNECTIONS * SERVICE_NS: started}
    report = made_up(latencies, service, due=due, unsent_end=due - started)
    report = changed(report, "verdict.kind", "rate not held by the target")
    judge = lambda report, elapsed_s=6.2: list(
        judge_overload(seconds, Run(report, 0, elapsed_s, 0))
    )
    change = lambda path, value: judge(changed(report, path, value))
    broken = [
        ("invalid runs", change("verdict.kind", "invalid")),
        ("verdicts of another kind", change("verdict.kind", "schedule kept")),
        ("start to end of wring", judge(report, 7.6)),
        ("due less started, unsent and shed", change("requests.shed", 1)),
        ("due less floor(R D)", change("requests.due", due - 1)),
        ("unsent", change("requests.unsent_end", int(0.97 * due / 2))),
        ("corrected max", change("latency.max_ns", lambda ns: ns * 1.03)),
        ("corrected max", change("latency.max_ns", CONNECTIONS * SERVICE_NS)),
        (
            "service p99, which does not show it",
            judge(changed(report, "service", report["latency"])),
        ),
    ]
    return "overload", judge(report), broken


def made_up_cpu():
    report = made_up({30 * US_NS: 100_000})
    run = lambda us_each: Run(report, us_each * 0.1, 0, 0)
    judge = lambda *us_each: list(judge_cpu(*map(run, us_each)))
    invalid = Run(changed(report, "verdict.kind", "invalid"), 1, 0, 0)
    broken = [
        ("--no-spin over the closed loop", judge(10, 20.1, 50)),
        ("invalid runs", list(judge_cpu(run(10), invalid, run(50)))),
    ]
    return "cpu", judge(10, 19.9, 50), broken

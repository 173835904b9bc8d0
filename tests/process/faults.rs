//! Where each case of the fault catalogue's families E, F, I, J and K is tested, and the one that needs
//! the library beside the process.
//!
//! The families of answers and of single connections are tested where answers are read. The other
//! files `faults_*.rs` hold the cases that this table names.

use super::support;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, ExitCode};

use super::support::faults::HANG;
use super::support::scripted::Scripted;
use super::support::{Running, find_program, said};
use wring::cli::{self, Job};

/// How many cases each family has.
const FAMILIES: [(char, usize); 5] = [('E', 13), ('F', 8), ('I', 15), ('J', 10), ('K', 8)];

/// Where a case is tested.
enum Case {
    /// By these, each a file and a function in it.
    Tested(&'static [&'static str]),
    /// Not here, and why.
    Untested(&'static str),
}

use Case::{Tested, Untested};

const E: [Case; 13] = [
    Tested(&[
        "tests/process/faults_time.rs::e1_a_server_stopped_for_a_second_makes_every_request_of_that_second_late",
        "src/worker/tests/paced.rs::a_frozen_server_makes_half_of_the_requests_late_by_up_to_the_freeze",
    ]),
    // What is unfinished is a finding, told in words and by the verdict; the exit code stays 0.
    Tested(&[
        "tests/process/faults_time.rs::e2_a_server_stopped_until_after_the_end_leaves_nothing_out",
    ]),
    Tested(&[
        "tests/process/rate.rs::a_target_that_cannot_keep_up_is_told_with_its_backlog",
        "src/worker/tests/paced.rs::twice_the_capacity_makes_latency_grow_by_a_second_each_second",
    ]),
    Tested(&[
        "src/worker/tests/paced.rs::one_stalled_connection_of_a_hundred_holds_up_one_request",
        "tests/process/faults_time.rs::e4_a_connection_that_stalls_holds_up_one_request_and_no_other",
    ]),
    Tested(&[
        "tests/process/faults_time.rs::e5_e6_an_answer_after_the_timeout_is_no_answer",
        "tests/process/options.rs::pipelined_requests_time_out_once_and_the_rest_is_cut_off",
    ]),
    Tested(&["tests/process/faults_time.rs::e5_e6_an_answer_after_the_timeout_is_no_answer"]),
    Tested(&[
        "tests/process/rate.rs::a_rate_for_a_time_makes_exactly_their_product_due",
        "src/schedule/tests.rs::exactly_the_rate_times_the_duration_is_due_however_it_is_dealt",
    ]),
    Tested(&[
        "tests/process/faults_time.rs::e8_a_rate_that_nothing_reaches_is_told_and_costs_no_memory",
    ]),
    Tested(&[
        "tests/process/faults_time.rs::e9_a_window_of_a_millisecond_and_one_of_a_day_are_measured",
    ]),
    Untested(
        "setting the wall clock is setting the machine's; intervals come from one room's \
              monotonic clock, which no such step reaches",
    ),
    Tested(&[
        "tests/process/faults_process.rs::j8_a_tool_that_was_stopped_says_that_its_numbers_are_no_good",
        "src/result/tests.rs::a_suspended_machine_measured_nothing",
    ]),
    Tested(&[
        "tests/process/faults_limits.rs::i12_a_throttled_tool_counts_what_it_could_not_send_and_names_its_quota",
        "src/result/tests.rs::wrings_own_lag_makes_a_run_invalid_beyond_its_limit",
    ]),
    Tested(&["tests/process/rate.rs::stages_ask_for_the_area_below_them"]),
];

const F: [Case; 8] = [
    Tested(&[
        "tests/process/refusals.rs::a_name_without_an_address_is_told_in_time_with_the_cause",
        "tests/process/faults_names.rs::f1_a_resolver_that_never_answers_or_fails_is_told_within_five_seconds",
    ]),
    Tested(&[
        "tests/process/wire.rs::a_name_is_sent_as_typed_and_all_its_addresses_are_used_evenly",
        "tests/process/connections.rs::two_addresses_are_used_evenly_and_each_has_its_counts",
    ]),
    Tested(&[
        "tests/process/faults_names.rs::f3_a_dead_first_address_is_left_for_the_living_and_shown",
    ]),
    Tested(&[
        "tests/process/wire.rs::an_ipv6_literal_keeps_its_brackets_in_the_host_field",
        "tests/process/faults_names.rs::f4_an_address_with_a_scope_is_reached_and_the_scope_stays_here",
    ]),
    Tested(&[
        "tests/process/connections.rs::two_addresses_are_used_evenly_and_each_has_its_counts",
        "src/cli/connections.rs::a_resolve_entry_is_read_as_curl_reads_it",
    ]),
    Tested(&[
        "tests/process/faults_names.rs::f6_a_name_that_changes_during_the_run_stays_what_it_was",
    ]),
    Tested(&["tests/process/faults_names.rs::f7_names_of_every_kind_end_in_an_answer_or_in_words"]),
    Tested(&[
        "tests/process/refusals.rs::a_host_that_would_split_the_request_is_refused_wherever_it_is_named",
        "tests/process/refusals.rs::a_url_that_is_none_is_refused_by_what_is_wrong_with_it",
    ]),
];

const I: [Case; 15] = [
    Tested(&[
        "tests/process/refusals.rs::a_soft_descriptor_limit_is_raised_and_a_hard_one_told_with_the_number_needed",
        "tests/process/faults_connections.rs::d15_descriptors_that_run_out_in_the_run_stop_nobody_and_are_named",
    ]),
    Tested(&[
        "tests/process/faults_limits.rs::i2_without_locked_memory_it_runs_or_says_which_limit_to_raise",
    ]),
    Tested(&[
        // One flag of the setup came after all else that is needed, so that a kernel which lacks
        // any of it refuses the setup; what is newer has another way, and the contract without it.
        "tests/process/engine.rs::behind_a_seccomp_filter_epoll_measures_and_the_filter_is_named",
        "tests/process/engine.rs::whichever_call_is_denied_is_found_out_before_the_load_and_named",
        "tests/process/engine.rs::without_memory_to_lock_epoll_measures_and_the_limit_is_named",
        "tests/process/engine.rs::the_server_falls_back_too_and_refuses_the_engines_it_cannot_run",
    ]),
    // Every case of the contract, with every second call ended by EINTR, EAGAIN or EBUSY.
    Tested(&[
        "src/io/contract/cases.rs::many_connections_echo_at_once",
        "tests/process/faults_process.rs::j8_many_short_stops_break_no_count",
    ]),
    // Every case of the contract on queues of eight entries, which overflow.
    Tested(&[
        "src/uring/tests.rs::completions_that_find_their_queue_full_are_all_delivered",
        "src/io/contract/cases.rs::a_full_queue_gives_the_operation_back_and_nothing_is_lost",
        "src/io/contract/cases.rs::more_events_than_room_come_later_and_none_is_lost",
        "tests/process/faults_connections.rs::d18_thousands_of_connections_are_opened_in_time",
    ]),
    Tested(&["src/io/contract/cases.rs::without_free_buffers_a_stream_ends_and_nothing_is_lost"]),
    Tested(&["src/io/contract/cases.rs::without_free_buffers_a_stream_ends_and_nothing_is_lost"]),
    Tested(&[
        "src/io/contract/cases.rs::cancelling_no_receive_has_no_effect",
        "src/io/contract/cases.rs::a_cancelled_stream_ends_and_the_connection_still_works",
    ]),
    Tested(&[
        "src/io/contract/cases.rs::a_large_send_completes_only_when_all_of_it_is_taken",
        "src/io/contract/cases.rs::a_stream_gives_every_byte_in_order_and_ends_with_the_fin",
    ]),
    Tested(&[
        "tests/process/faults_limits.rs::i10_in_64_mebibytes_thousands_of_connections_run_or_are_refused",
    ]),
    Tested(&[
        "tests/process/faults_limits.rs::i11_cpus_may_have_holes_and_change_during_the_run",
        "tests/process/options.rs::a_single_cpu_is_shared_and_it_is_said",
        "tests/process/options.rs::more_threads_than_connections_are_fewer_and_it_is_said",
    ]),
    Tested(&[
        "tests/process/faults_limits.rs::i12_a_throttled_tool_counts_what_it_could_not_send_and_names_its_quota",
    ]),
    Tested(&[
        "tests/process/faults_limits.rs::i13_a_thread_that_cannot_be_started_is_told_and_nothing_hangs",
    ]),
    Tested(&[
        "tests/process/faults_process.rs::i14_terminals_of_every_kind_get_a_report",
        "tests/process/faults_process.rs::i14_without_proc_sys_home_and_a_writable_root_a_run_is_measured",
        "src/sys/host.rs::a_machine_without_proc_and_sys_has_no_facts_and_no_failure",
    ]),
    Untested("one machine has one architecture, one page size and one C library"),
];

const J: [Case; 10] = [
    Tested(&[
        "tests/process/signals.rs::an_interrupted_run_reports_all_it_measured",
        "tests/process/signals.rs::a_terminated_run_reports_all_it_measured",
    ]),
    Tested(&[
        "tests/process/signals.rs::a_second_signal_ends_a_long_drain_at_once",
        "tests/process/faults_process.rs::j2_signals_of_different_kinds_count_together",
    ]),
    Tested(&["tests/process/faults_process.rs::j3_a_hangup_ends_a_run_as_a_termination_does"]),
    Tested(&[
        "tests/process/outputs.rs::a_reader_that_has_gone_away_costs_no_file",
        "tests/process/outputs.rs::a_head_behind_the_pipe_sees_its_line_and_nobody_complains",
        "tests/process/faults_process.rs::j4_a_terminal_that_is_gone_costs_no_file",
    ]),
    Tested(&[
        "tests/process/refusals.rs::a_report_that_cannot_be_written_is_told_before_the_load",
        "tests/process/outputs.rs::a_full_disk_is_told_and_costs_the_other_outputs_nothing",
        "tests/process/outputs.rs::a_full_disk_behind_stdout_is_told",
        "tests/process/faults_process.rs::j5_a_disk_that_fills_up_leaves_no_broken_file",
        "tests/process/faults_process.rs::j5_a_folder_that_goes_away_during_the_run_is_told_and_the_report_is_printed",
    ]),
    Tested(&["tests/process/faults_process.rs::j6_pipes_that_nobody_reads_stop_no_worker"]),
    Tested(&[
        "tests/process/faults.rs::j7_a_worker_that_panics_ends_the_run_of_the_others_in_time",
        "src/run/tests.rs::the_others_parts_of_a_run_add_up_without_a_worker_that_was_lost",
    ]),
    Tested(&[
        "tests/process/faults_process.rs::j8_a_tool_that_was_stopped_says_that_its_numbers_are_no_good",
        "tests/process/faults_process.rs::j8_many_short_stops_break_no_count",
    ]),
    Tested(&["tests/process/faults_process.rs::j9_a_closed_standard_input_is_no_input"]),
    Untested(
        "a day is longer than a test may take; what grows over hours is for a long run by hand",
    ),
];

const K: [Case; 8] = [
    Tested(&[
        "tests/process/refusals.rs::a_url_that_is_none_is_refused_by_what_is_wrong_with_it",
        "tests/process/refusals.rs::a_request_that_cannot_be_sent_is_refused",
    ]),
    Tested(&[
        "tests/process/refusals.rs::a_number_that_makes_no_load_is_refused_by_its_value",
        "tests/process/options.rs::fifteen_connections_on_two_threads_are_fifteen",
        "tests/process/options.rs::more_threads_than_connections_are_fewer_and_it_is_said",
    ]),
    Tested(&[
        "tests/process/refusals.rs::a_number_that_makes_no_load_is_refused_by_its_value",
        "tests/process/options.rs::a_number_and_a_duration_end_with_whichever_comes_first",
    ]),
    Tested(&[
        "tests/process/refusals.rs::a_schedule_that_sends_nothing_or_says_two_things_is_refused",
    ]),
    Tested(&[
        "tests/process/faults_names.rs::k5_a_body_is_read_once_and_its_size_is_bounded",
        "tests/process/refusals.rs::a_request_that_cannot_be_sent_is_refused",
    ]),
    Tested(&[
        "tests/process/refusals.rs::a_request_that_cannot_be_sent_is_refused",
        "tests/process/wire.rs::headers_keep_their_order_and_a_host_replaces_ours",
    ]),
    // Lists of requests are what there is of scenarios: no nesting, no variables of the user's.
    Tested(&[
        "tests/process/faults_names.rs::k7_a_list_of_requests_that_is_wrong_is_told_with_its_place",
        "tests/process/targets.rs::a_wrong_line_is_told_with_its_place_and_nothing_is_sent",
    ]),
    Tested(&[
        "tests/process/refusals.rs::flags_that_contradict_each_other_or_the_machine_are_refused",
    ]),
];

#[test]
fn every_case_of_the_catalogue_has_a_test_that_exists_or_a_reason() {
    let all: [&[Case]; 5] = [&E, &F, &I, &J, &K];
    for ((family, count), cases) in FAMILIES.into_iter().zip(all) {
        assert_eq!(cases.len(), count, "{family}");
        for (number, case) in cases.iter().enumerate() {
            let name = format!("{family}{}", number + 1);
            match case {
                Tested(tests) => {
                    assert!(!tests.is_empty(), "{name}");
                    for test in *tests {
                        assert!(exists(test), "{name}: there is no {test}");
                    }
                }
                Untested(why) => assert!(why.len() > 20, "{name}: no reason"),
            }
        }
    }
}

/// Whether the file has a function of that name.
fn exists(test: &str) -> bool {
    let Some((file, function)) = test.split_once("::") else { return false };
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
    let is_it =
        |rest: &str| rest.strip_prefix(function).is_some_and(|end| end.starts_with(['(', '<']));
    text.is_ok_and(|text| text.split("fn ").any(is_it))
}

/// Set for the process that is to panic, as the line it runs.
const LINE: &str = "WRING_TEST_PANICS";

/// wring with a plan that no line asks for: adding its timeout to a time overflows, which panics in
/// builds that check, when a worker that has a request under way next looks at its timers.
#[cfg_attr(not(debug_assertions), ignore = "nothing panics there")]
#[test]
fn j7_the_process_that_panics() {
    let Some(line) = std::env::var_os(LINE) else { return };
    let line = line.into_string().unwrap();
    let code = cli::main(line.split(' ').map(OsString::from), |job| {
        let Job::Run(mut job) = job else { panic!("{line} measures nothing") };
        job.plan.timeout_ns = u64::MAX;
        cli::execute::execute(Job::Run(job))
    });
    std::process::exit(if code == ExitCode::from(1) { 1 } else { 70 });
}

#[cfg_attr(not(debug_assertions), ignore = "nothing panics there")]
#[test]
fn j7_a_worker_that_panics_ends_the_run_of_the_others_in_time() {
    let Some(script) = find_program("script") else { return };
    let server = Scripted::start(support::scripted::Script::Silence);
    // Its first request is one worker's; the other's first is due after five seconds.
    let line = format!(
        "wring {} -R 0.2 -c 2 -t 2 -d 60s -T 60s --connect-timeout 200ms --drain 60s",
        server.url()
    );
    for engine in ["uring", "epoll"] {
        // A terminal of its own, which is left as it was found.
        let own = std::env::current_exe().unwrap();
        let shell = format!(
            "found=$(stty -g); '{}' --exact faults::j7_the_process_that_panics --nocapture; code=$?; \
             test \"$found\" = \"$(stty -g)\" || exit 77; exit $code",
            own.display()
        );
        let mut run = Command::new(&script);
        // Looking up the names of a backtrace takes longer than that on a busy machine.
        let run = run.env(LINE, format!("{line} --engine {engine}")).env("RUST_BACKTRACE", "0");
        // Longer than that it hangs: the run itself would take two minutes.
        let output = Running::start(run.args(["-qec", &shell, "/dev/null"])).finish(HANG);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("attempt to add with overflow"), "{text}");
        // The other's part is told, marked, and no success.
        assert!(text.contains("Requests/sec:") && text.contains("identities: I1"), "{text}");
        assert!(text.contains("which had 1 of the 2 connections, panicked: what it did"), "{text}");
        assert!(text.contains(": a worker ended before the run was over; do not use"), "{text}");
        assert!(text.contains("wring: error: a worker ended before the run was over"), "{text}");
        let (hidden, shown) = (text.rfind("\x1b[?25l"), text.rfind("\x1b[?25h"));
        assert!(hidden <= shown, "the cursor stays hidden: {text}");
    }
}

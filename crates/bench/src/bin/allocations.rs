//! Counts allocations for `authflow-bench`, which starts it: a line each, `NAME COUNT`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    authflow_bench::print_allocations(&arguments, |work| allocation_counter::measure(work).count_total)
}

//! The binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    seamark::commands::run(std::env::args())
}

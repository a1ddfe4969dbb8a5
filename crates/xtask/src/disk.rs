//! How much room there is for what is built.

use crate::workspace::Workspace;

/// What is free where the workspace is, in bytes; nothing where the system does not say.
pub(crate) fn free(workspace: &Workspace) -> Option<u64> {
    // A target elsewhere is the wish of whoever put it there, and cargo knows of it, not this program.
    parse(&workspace.program("df").args(["-P", "-k", "."]).output().ok()?)
}

/// The answer of POSIX: a header, and one line whose fourth column is what is available, in units of 1,024 bytes.
fn parse(answer: &str) -> Option<u64> {
    let kibibytes: u64 = answer.lines().nth(1)?.split_ascii_whitespace().nth(3)?.parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// In gigabytes, as the makers of disks count them.
pub(crate) fn gigabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000_000;
    format!("{}.{} GB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_of_df_is_read() {
        let answer = "Filesystem 1024-blocks Used Available Capacity Mounted on\n\
                      /dev/vda 263174212 13631488 81788928 15% /\n";
        assert_eq!(parse(answer), Some(81_788_928 * 1024));
        assert_eq!(parse("df: no such thing\n"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn it_is_asked_of_this_machine() {
        assert!(free(&Workspace::open().unwrap()).unwrap() > 0);
    }

    #[test]
    fn gigabytes_have_one_digit_after_the_point() {
        assert_eq!(gigabytes(11_960_000_000), "11.9 GB");
        assert_eq!(gigabytes(20_000_000), "0.0 GB");
    }
}

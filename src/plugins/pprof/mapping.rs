use std::ops::Range;

/// A part of the process's memory that is a part of a file, with code in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) memory: Range<u64>,
    /// Where it begins in the file, octets.
    pub(super) offset: u64,
    pub(super) file: String,
}

/// The mappings of this process.
pub(super) fn all() -> Vec<Mapping> {
    std::fs::read_to_string("/proc/self/maps").unwrap_or_default().lines().filter_map(read).collect()
}

/// `START-END PERMISSIONS OFFSET DEVICE INODE FILE`; see proc_pid_maps(5).
fn read(line: &str) -> Option<Mapping> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let number = |text| u64::from_str_radix(text, 16).ok();
    let memory = number(start)?..number(end)?;
    if !words.next()?.contains('x') {
        return None;
    }
    let offset = number(words.next()?)?;
    // Whatever follows is the name, blanks included; without one it is no file.
    let file = words.skip(2).collect::<Vec<_>>().join(" ");
    (!file.is_empty()).then_some(Mapping { memory, offset, file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel() {
        let line = "55d0c0a00000-55d0c0b00000 r-xp 0001a000 fe:01 1234   /usr/bin/a program";
        let mapping = read(line).unwrap();
        assert_eq!(mapping.memory, 0x55d0_c0a0_0000..0x55d0_c0b0_0000);
        assert_eq!((mapping.offset, mapping.file.as_str()), (0x1a000, "/usr/bin/a program"));
        assert_eq!(read("7ffd1000-7ffd2000 r-xp 00000000 00:00 0   [vdso]").unwrap().file, "[vdso]");
        for line in ["55d0-55e0 r--p 0 fe:01 12 /usr/bin/x", "55d0-55e0 r-xp 0 00:00 0", "55d0", ""] {
            assert_eq!(read(line), None, "{line}");
        }
        assert!(all().iter().any(|mapping| mapping.file.contains("seamark")), "this program itself");
    }
}

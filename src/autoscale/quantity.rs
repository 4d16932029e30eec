//! Amounts of CPU as Kubernetes writes them: `4`, `3920m`, `1.5`, `2k`, `1e3`, `1Ki`.

/// CPU in billionths of a core, the finest that the API server keeps. Sums are exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cpu(i128);

const NANO: i128 = 1_000_000_000;

impl Cpu {
    /// Whole cores.
    pub const fn cores(count: i64) -> Self {
        Self(count as i128 * NANO)
    }

    /// The amount in whole cores, rounded up: 11.76 cores are 12.
    pub fn rounded_up(self) -> i64 {
        let whole = self.0.div_euclid(NANO) + i128::from(self.0.rem_euclid(NANO) != 0);
        i64::try_from(whole).unwrap_or(if whole < 0 { i64::MIN } else { i64::MAX })
    }

    /// Reads an amount; what is finer than a billionth is rounded up, as Kubernetes does. `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let end = digits.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(digits.len());
        let (number, suffix) = digits.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || number.len() > 40 {
            return None;
        }
        let (binary, ten) = scale(suffix)?;
        let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
        let mantissa = mantissa.checked_mul(binary)?;
        // In billionths; the digits behind the point have made the mantissa larger.
        let power = ten + 9 - i32::try_from(fraction.len()).ok()?;
        let amount = match u32::try_from(power) {
            Ok(up) => mantissa.checked_mul(10_i128.checked_pow(up)?)?,
            Err(_) => {
                let down = 10_i128.checked_pow(power.unsigned_abs()).unwrap_or(i128::MAX);
                mantissa / down + i128::from(mantissa % down != 0)
            }
        };
        Some(Self(if negative { -amount } else { amount }))
    }
}

impl std::ops::AddAssign for Cpu {
    fn add_assign(&mut self, other: Self) {
        self.0 = self.0.saturating_add(other.0);
    }
}

impl std::ops::SubAssign for Cpu {
    fn sub_assign(&mut self, other: Self) {
        self.0 = self.0.saturating_sub(other.0);
    }
}

/// What a suffix multiplies by: a power of two, and the exponent of a power of ten.
fn scale(suffix: &str) -> Option<(i128, i32)> {
    let ten = |exponent| Some((1, exponent));
    let two = |exponent: u32| Some((1_i128 << exponent, 0));
    match suffix {
        "n" => ten(-9),
        "u" => ten(-6),
        "m" => ten(-3),
        "" => ten(0),
        "k" => ten(3),
        "M" => ten(6),
        "G" => ten(9),
        "T" => ten(12),
        "P" => ten(15),
        "E" => ten(18),
        "Ki" => two(10),
        "Mi" => two(20),
        "Gi" => two(30),
        "Ti" => two(40),
        "Pi" => two(50),
        "Ei" => two(60),
        exponent => exponent.strip_prefix(['e', 'E'])?.parse().ok().filter(|e| (-60..=60).contains(e)).map(|e| (1, e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_read_and_rounded_up_to_whole_cores() {
        for (text, cores) in [
            ("4", 4),
            ("0", 0),
            ("3920m", 4),
            ("4000m", 4),
            ("4001m", 5),
            ("1.5", 2),
            (".5", 1),
            ("2.", 2),
            ("1n", 1),
            ("1u", 1),
            ("0.0000000001", 1),
            ("2k", 2000),
            ("1e3", 1000),
            ("1E3", 1000),
            ("25e-1", 3),
            ("1E", 1_000_000_000_000_000_000),
            ("1Ki", 1024),
            ("+3", 3),
            ("-3", -3),
        ] {
            assert_eq!(Cpu::parse(text).map(Cpu::rounded_up), Some(cores), "{text}");
        }
        for text in ["", "m", "x", "1x", "1.2.3", "1 ", " 1", "1e", "--1", "1e999", "."] {
            assert_eq!(Cpu::parse(text), None, "{text}");
        }
    }

    #[test]
    fn sums_are_exact_before_they_are_rounded() {
        let mut sum = Cpu::default();
        for _ in 0..3 {
            sum += Cpu::parse("3920m").unwrap();
        }
        assert_eq!(sum.rounded_up(), 12);
        sum -= Cpu::parse("760m").unwrap();
        assert_eq!(sum.rounded_up(), 11);
    }
}

#![doc = include_str!("README.md")]

mod config;

use std::fmt::Write as _;

use crate::chain::{Again, Context, Directive, LabelSource, Plugin, Sent};

/// The directive.
pub const DIRECTIVE: Directive = Directive { name: "proxyproto", parse: config::parse };

/// What proxies say of clients besides their addresses. The listeners read it; it stands in the chain so that it is
/// listed there.
struct Marks;

impl Plugin for Marks {
    fn name(&self) -> &'static str {
        "proxyproto"
    }

    fn again(&self, _: &Context, _: &Sent<'_>) -> Again {
        Again::Always
    }
}

impl LabelSource for Marks {
    fn label(&self, cx: &Context, name: &str) -> Option<String> {
        let tlvs = cx.tlvs.as_deref().filter(|_| name == "proxyproto/tlv")?;
        let mut text = String::with_capacity(2 * tlvs.len());
        for octet in tlvs {
            _ = write!(text, "{octet:02x}");
        }
        Some(text)
    }
}

use http::StatusCode;

use crate::wire::MAX_MESSAGE;

/// What has come of the body of a request: a message and what frames it, and no more than that.
pub(super) struct Body {
    octets: Vec<u8>,
    most: usize,
}

impl Body {
    /// A body with `frame` octets around its message.
    pub(super) const fn new(frame: usize) -> Self {
        Self { octets: Vec::new(), most: MAX_MESSAGE + frame }
    }

    /// Puts what has come behind what is there.
    pub(super) fn add(&mut self, part: &[u8]) -> Result<(), StatusCode> {
        if self.octets.len() + part.len() > self.most {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        self.octets.extend_from_slice(part);
        Ok(())
    }

    /// All of it.
    pub(super) fn whole(self) -> Vec<u8> {
        self.octets
    }
}

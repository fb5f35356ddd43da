//! Secrets in a body that is on its way out.
//!
//! Takes the bytes as they pass; says when to break off. What is seen is told as it is seen, so that
//! there is a record of it also where nothing is broken off.

use crate::inspect::secret::{Sighting, Stream};
use std::fmt;

/// The scan of a body that streams.
pub struct Leaving {
    stream: Stream,
    /// Told of each secret once; says whether the body may go on.
    may_go_on: Box<dyn FnMut(&Sighting) -> bool + Send + Sync>,
    /// Who reads it along: each piece, and then that there is no more.
    along: Option<Box<Along>>,
}

type Along = dyn FnMut(Option<&[u8]>) + Send + Sync;

impl Leaving {
    /// Looks for what the stream looks for.
    pub fn new(
        stream: Stream,
        may_go_on: impl FnMut(&Sighting) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { stream, may_go_on: Box::new(may_go_on), along: None }
    }

    /// The same, read along by somebody who has no say in it.
    #[must_use]
    pub fn with(self, along: impl FnMut(Option<&[u8]>) + Send + Sync + 'static) -> Self {
        Self { along: Some(Box::new(along)), ..self }
    }

    /// Looks at what comes next; says whether it may pass.
    #[must_use]
    pub fn passes(&mut self, bytes: &[u8]) -> bool {
        if let Some(along) = &mut self.along {
            along(Some(bytes));
        }
        let found = self.stream.feed(bytes);
        self.tell(&found)
    }

    /// Looks at the end; says whether the body may have one.
    #[must_use]
    pub fn may_end(&mut self) -> bool {
        if let Some(along) = &mut self.along {
            along(None);
        }
        let found = self.stream.end();
        self.tell(&found)
    }

    fn tell(&mut self, found: &[Sighting]) -> bool {
        let mut passes = true;
        for sighting in found {
            // Each is told, also behind one that ends the body.
            passes &= (self.may_go_on)(sighting);
        }
        passes
    }
}

impl fmt::Debug for Leaving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaving").finish_non_exhaustive()
    }
}

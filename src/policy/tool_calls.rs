//! Where agents ask about a tool call before it runs.
//!
//! Takes `proxy.tool_calls` as written; returns the place to listen on. Refuses every address that
//! another machine could reach: what is told there is for the agent alone.

use super::compile::Compiler;
use super::file::File;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

/// The socket of a state folder.
const SOCKET: &str = "tool-calls.sock";
/// What a system takes as the path of a socket, less what a name on the way to it needs.
const LONGEST: usize = 100;
/// What one agent may ask in a minute where nothing else is said.
const PER_MINUTE: NonZeroU32 = NonZeroU32::new(600).unwrap();

/// A place to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// A socket of the file system.
    Unix(PathBuf),
    /// An address of loopback.
    Loopback(SocketAddr),
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Loopback(address) => write!(f, "http://{address}"),
        }
    }
}

/// Where agents ask about a tool call before it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCalls {
    /// Where.
    pub listen: Listen,
    /// How many calls one agent may ask about in a minute.
    pub per_minute: NonZeroU32,
}

impl ToolCalls {
    /// For one command: a socket in its state folder, or a free port where no socket may be called so.
    pub fn for_one_run(state: &Path, declared: Option<Self>) -> Self {
        let socket = state.join(SOCKET);
        let fits = std::path::absolute(&socket).is_ok_and(|path| path.as_os_str().len() <= LONGEST);
        let listen = if fits {
            Listen::Unix(socket)
        } else {
            Listen::Loopback(SocketAddr::from(([127, 0, 0, 1], 0)))
        };
        Self { listen, per_minute: declared.map_or(PER_MINUTE, |declared| declared.per_minute) }
    }
}

impl Compiler<'_> {
    pub(super) fn tool_calls(&mut self, file: &File) -> Option<ToolCalls> {
        let declared = file.proxy.tool_calls.as_ref()?;
        let place = declared.listen.as_ref().map(|listen| listen.place).unwrap_or_default();
        let Some(per_minute) = NonZeroU32::new(declared.per_minute) else {
            self.problem(place, "`proxy.tool_calls.per_minute`: zero would refuse everything");
            return None;
        };
        let state = file.state.as_ref().map_or(".holdgate", |state| &state.value);
        let listen = match declared.listen.as_ref().map(|listen| &*listen.value) {
            None => Listen::Unix(self.base.join(state).join(SOCKET)),
            Some(text) => match (text.strip_prefix("unix:"), text.parse::<SocketAddr>()) {
                (Some(path), _) if !path.is_empty() => Listen::Unix(self.base.join(path)),
                (None, Ok(address)) if address.ip().is_loopback() => Listen::Loopback(address),
                _ => {
                    self.problem(
                        place,
                        format!("`{text}` is neither `unix:PATH` nor an address of loopback such as 127.0.0.1:3130"),
                    );
                    return None;
                }
            },
        };
        if let Listen::Loopback(address) = &listen
            && [file.proxy.listen, file.approvals.listen].contains(address)
            && address.port() != 0
        {
            self.problem(place, "`proxy.tool_calls.listen` must differ from the other listeners");
        }
        Some(ToolCalls { listen, per_minute })
    }
}

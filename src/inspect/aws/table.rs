//! The services of Amazon Web Services: their endpoints, protocols, and the routes of REST protocols.
//!
//! Takes a host prefix, or a method, path and query; returns the [`Service`], or the [`Route`]s that
//! fit best. The data is `catalog/aws-operations.txt`, which says what a line means; a line that does
//! not parse is no route, and what has no route is unknown.

use crate::inspect::Unreadable;
use crate::message::Head;
use http::Method;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

const TEXT: &str = include_str!("../../../catalog/aws-operations.txt");

/// A service with the endpoints that share it.
#[derive(Debug)]
pub(super) struct Service {
    /// The first word of the names of its operations.
    pub(super) name: &'static str,
    signing: &'static str,
    protocols: &'static str,
    /// Its routes, as far as they parse.
    pub(super) routes: Vec<Route>,
}

/// How a service may be spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// JSON bodies.
    Json,
    /// XML bodies, in which nothing stands that decides.
    Xml,
}

impl Service {
    /// What its signatures may be scoped to.
    pub(super) fn signing(&self) -> impl Iterator<Item = &'static str> {
        self.signing.split(',')
    }
    /// Whether it takes `Action` in the query or a form.
    pub(super) fn speaks_query(&self) -> bool {
        self.protocols.split(',').any(|protocol| protocol == "query")
    }
    /// Whether it takes JSON by `X-Amz-Target`, under any prefix.
    pub(super) fn speaks_json(&self) -> bool {
        self.protocols.contains("json:")
    }
    /// Whether it takes JSON under this prefix.
    pub(super) fn has_target(&self, prefix: &str) -> bool {
        self.protocols.split(',').any(|protocol| protocol.strip_prefix("json:") == Some(prefix))
    }
    /// The kind of REST it speaks.
    pub(super) fn rest(&self) -> Option<Rest> {
        self.protocols.split(',').find_map(|protocol| match protocol {
            "rest" => Some(Rest::Json),
            "xml" => Some(Rest::Xml),
            _ => None,
        })
    }
    /// Whether it is S3.
    pub(super) fn is_s3(&self) -> bool {
        self.protocols == "s3"
    }
}

/// One method and path of a service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Route {
    method: &'static str,
    path: &'static str,
    query: &'static str,
    /// The operation's name.
    pub(super) name: &'static str,
    options: &'static str,
}

impl Route {
    fn parse(line: &'static str) -> Option<Self> {
        let line = line.trim_start();
        let (method, line) = line.split_once(' ')?;
        let (path, line) = line.split_once(' ')?;
        let (name, options) = line.split_once(' ').unwrap_or((line, ""));
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let path = path.strip_prefix('/')?;
        let known = matches!(method, "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE");
        (known && !name.is_empty()).then_some(Self { method, path, query, name, options })
    }

    /// Whether the body holds nothing that matters.
    pub(super) fn leaves_body(&self) -> bool {
        self.options.split(' ').any(|option| option == "~")
    }
    /// The query keys it may have besides those that select it.
    pub(super) fn allows(&self, key: &str) -> bool {
        self.options.split(' ').any(|option| option == key)
    }
    /// The headers that select it.
    pub(super) fn headers(&self) -> impl Iterator<Item = &'static str> {
        self.options.split(' ').filter_map(|option| option.strip_prefix('+'))
    }
    /// The query that selects it: keys, and values where only one will do.
    pub(super) fn selects(&self) -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
        self.query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            match pair.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (pair, None),
            }
        })
    }
    /// Its path, without the first slash.
    pub(super) const fn path(&self) -> &'static str {
        self.path
    }
    /// Whether it is for a method.
    pub(super) fn is_for(&self, method: &Method) -> bool {
        self.method == method.as_str()
    }
    /// How many words of it are written out.
    fn literals(&self) -> usize {
        self.path.split('/').filter(|part| !part.is_empty() && label(part).is_none()).count()
    }

    /// What its labels stand for in a path; none if it does not fit. A slash at the end makes no
    /// difference.
    pub(super) fn captures<'p>(
        &self,
        path: &'p [Cow<'p, str>],
    ) -> Option<Vec<(&'static str, Cow<'p, str>)>> {
        let path = match path {
            [rest @ .., last] if last.is_empty() => rest,
            all => all,
        };
        let parts: Vec<&'static str> = self.path.split('/').filter(|p| !p.is_empty()).collect();
        let open = parts.iter().any(|part| label(part).is_some_and(|(_, many)| many));
        // What a label of many segments takes beyond its own.
        let more = path.len().checked_sub(parts.len()).filter(|more| open || *more == 0)?;
        let mut found = Vec::new();
        let mut rest = path;
        for part in parts {
            let (here, behind) = match label(part) {
                Some((_, true)) => rest.split_at_checked(1 + more)?,
                _ => rest.split_at_checked(1)?,
            };
            rest = behind;
            let text = match here {
                [one] => one.clone(),
                many => Cow::Owned(many.join("/")),
            };
            match label(part) {
                Some((name, _)) if !text.is_empty() => found.push((name, text)),
                None if text == part => {}
                _ => return None,
            }
        }
        rest.is_empty().then_some(found)
    }
}

/// The name of a label, and whether it takes many segments.
fn label(part: &'static str) -> Option<(&'static str, bool)> {
    let inner = part.strip_prefix('{')?.strip_suffix('}')?;
    Some(inner.strip_suffix('+').map_or((inner, false), |name| (name, true)))
}

/// A route with what its labels stand for.
pub(super) type Routed = (Route, Vec<(&'static str, String)>);

/// The routes that a request of a REST service fits best, with what their labels stand for. They
/// are several only where the model does not say which of them is meant.
pub(super) fn routed(service: &Service, head: &Head) -> Result<Vec<Routed>, Unreadable> {
    let path = head.path().segments();
    let on_path = |method: &Method| -> Vec<_> {
        let routes = service.routes.iter().filter(|route| route.is_for(method));
        let own = |found: Vec<(&'static str, Cow<'_, str>)>| -> Vec<(&'static str, String)> {
            found.into_iter().map(|(name, text)| (name, text.into_owned())).collect()
        };
        routes.filter_map(|route| Some((*route, own(route.captures(&path)?)))).collect()
    };
    let mut candidates = on_path(head.method());
    if candidates.is_empty() && *head.method() == Method::HEAD {
        candidates = on_path(&Method::GET);
    }
    let literals = candidates.iter().map(|(route, _)| route.literals()).max().unwrap_or(0);
    candidates.retain(|(route, _)| route.literals() == literals);
    let pairs = head.query().pairs();
    let mut selected = 0;
    for key in candidates.iter().flat_map(|(route, _)| route.selects()).map(|(key, _)| key) {
        if pairs.iter().filter(|(name, _)| name == key).count() > 1 {
            return Err(Unreadable::Aws("what selects its operation stands in its query twice"));
        }
    }
    let chosen: Vec<&str> = candidates
        .iter()
        .flat_map(|(route, _)| route.selects())
        .filter(|(key, _)| pairs.iter().any(|(name, _)| name == key))
        .map(|(key, _)| key)
        .collect();
    candidates.retain(|(route, _)| {
        let fits = route.selects().all(|(key, value)| {
            pairs.iter().any(|(name, given)| name == key && value.is_none_or(|one| one == given))
        });
        // A key that selects another operation of this path never means the plain one.
        let all = chosen.iter().all(|key| route.selects().any(|(own, _)| own == *key));
        if fits && all {
            selected = selected.max(route.selects().count());
        }
        fits && all
    });
    candidates.retain(|(route, _)| route.selects().count() == selected);
    Ok(candidates)
}

static SERVICES: LazyLock<HashMap<&'static str, Service>> = LazyLock::new(|| {
    let mut services: HashMap<&'static str, Service> = HashMap::new();
    let mut current = None;
    for line in TEXT.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with(' ') {
            if let Some(service) = current.and_then(|name| services.get_mut(name)) {
                service.routes.extend(Route::parse(line));
            }
            continue;
        }
        let mut words = line.split(' ');
        let words = (words.next(), words.next(), words.next(), words.next());
        let (Some(name), Some(signing), Some(protocols), Some(_)) = words else {
            current = None;
            continue;
        };
        current = Some(name);
        services.insert(name, Service { name, signing, protocols, routes: Vec::new() });
    }
    services
});

/// The names of the services by the prefixes of their hosts.
static HOSTS: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    let services = TEXT.lines().filter(|line| !line.starts_with(['#', ' ']));
    let words =
        services.filter_map(|line| Some((line.split(' ').next()?, line.rsplit_once(' ')?.1)));
    words.flat_map(|(name, hosts)| hosts.split(',').map(move |host| (host, name))).collect()
});

/// Every service.
#[cfg(test)]
pub(super) fn services() -> impl Iterator<Item = &'static Service> {
    SERVICES.values()
}

/// The service of a host's prefix.
pub(super) fn service(host: &str) -> Option<&'static Service> {
    SERVICES.get(HOSTS.get(host)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_parses_and_every_host_has_one_service() {
        let mut hosts = 0;
        for line in TEXT.lines().filter(|line| !line.starts_with('#')) {
            if line.starts_with(' ') {
                assert!(Route::parse(line).is_some(), "{line}");
            } else {
                assert_eq!(line.split(' ').count(), 4, "{line}");
                hosts += line.rsplit_once(' ').unwrap().1.split(',').count();
            }
        }
        assert_eq!(hosts, HOSTS.len());
        assert!(SERVICES.len() > 400 && SERVICES["lambda"].routes.len() > 90);
    }
}

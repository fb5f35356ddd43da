//! Which addresses may be dialled.
//!
//! Takes addresses; returns those that are public, or that the policy lists. Refuses Holdgate's own
//! listeners always, and every special-purpose range of the IANA registries (RFC 6890), those that
//! embed an IPv4 address judged by what they embed.

use super::Error;
use ipnet::IpNet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// What must never be dialled whatever the policy says.
#[derive(Clone, Debug, Default)]
pub struct Reach {
    own: Vec<SocketAddr>,
}

impl Reach {
    /// A reach that never leads to these listeners.
    pub const fn new(own: Vec<SocketAddr>) -> Self {
        Self { own }
    }

    /// Whether an address is one of Holdgate's listeners.
    pub fn is_own(&self, address: SocketAddr) -> bool {
        let to = address.ip().to_canonical();
        self.own.iter().filter(|own| own.port() == address.port()).any(|own| {
            // A listener on all addresses is reached by any of this machine's; its port is closed to
            // every address that is not public besides, where a network may lead back.
            let everywhere = own.ip().is_unspecified() && (!is_public(to) || is_here(to));
            let loopback = own.ip().is_loopback() && (to.is_loopback() || to.is_unspecified());
            own.ip().to_canonical() == to || everywhere || loopback
        })
    }

    /// The addresses that may be dialled.
    pub(super) fn filter(
        &self,
        found: &[SocketAddr],
        allowed: &[IpNet],
    ) -> Result<Vec<SocketAddr>, Error> {
        let listed = |ip: IpAddr| allowed.iter().any(|network| network.contains(&ip));
        let passes = |address: &&SocketAddr| {
            let ip = address.ip().to_canonical();
            // Who lists a translator's network has not listed all that it leads to.
            let through =
                || embedded(ip).is_none_or(|inner| is_public(inner.into()) || listed(inner.into()));
            !self.is_own(**address) && (is_public(ip) || (listed(ip) && through()))
        };
        let good: Vec<SocketAddr> = found.iter().filter(passes).copied().collect();
        match (good.is_empty(), found.first()) {
            (false, _) => Ok(good),
            (true, Some(first)) if self.is_own(*first) => Err(Error::OwnListener),
            (true, Some(first)) => Err(Error::PrivateAddress(first.ip())),
            (true, None) => Err(Error::Resolve("it has no address".to_owned())),
        }
    }
}

/// Whether an address is one of this machine's. They come and go, so the system is asked each time:
/// only a machine's own address can be bound. What cannot be told counts as its own.
fn is_here(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).map_or_else(
        |error| {
            !matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::Unsupported)
                && error.raw_os_error() != Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
        },
        |_bound| true,
    )
}

/// The IPv4 address that a translator makes of an address: NAT64, 6to4, SIIT, ISATAP, or compatible.
fn embedded(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(ip) = ip else { return None };
    let (high, low) = match ip.segments() {
        [0x0064, 0xff9b, 0, 0, 0, 0, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [_, _, _, _, 0 | 0x0200, 0x5efe, high, low]
        | [0x2002, high, low, ..] => (high, low),
        [0, 0, 0, 0, 0, 0, high, low] if high != 0 => (high, low),
        _ => return None,
    };
    Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
}

/// Whether an address is a public unicast address.
pub fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = ip.is_unspecified()
        || ip.is_loopback()
        || ip.is_private()
        || ip.is_link_local()
        || ip.is_broadcast()
        || ip.is_documentation()
        || ip.is_multicast()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b)) // shared address space
        || (a == 192 && b == 0 && c == 0) // IETF protocol assignments
        || (a == 192 && b == 88 && c == 99) // 6to4 relay anycast
        || (a == 192 && b == 31 && c == 196)
        || (a == 192 && b == 52 && c == 193)
        || (a == 192 && b == 175 && c == 48)
        || (a == 198 && (b == 18 || b == 19)) // benchmarking
        || (a == 168 && b == 63 && c == 129); // a cloud's metadata and DNS
    !special
}

#[expect(clippy::nonminimal_bool, reason = "one range a line")]
fn is_public_v6(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    let [first, second, ..] = segments;
    // Global unicast is 2000::/3; all else is special, the embedding forms among it.
    let global = (0x2000..0x4000).contains(&first);
    let special = (first == 0x2001 && second < 0x0200) // IETF assignments, Teredo, ORCHID
        || (first == 0x2001 && second == 0x0db8) // documentation
        || first == 0x2002 // 6to4
        || (first == 0x3fff && second < 0x1000) // documentation
        || (first == 0x2620 && second == 0x004f && segments.get(2) == Some(&0x8000));
    // ISATAP puts an IPv4 address behind a fixed interface identifier.
    let isatap = matches!(segments, [_, _, _, _, 0 | 0x0200, 0x5efe, _, _]);
    global && !special && !isatap
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_ranges_are_not_public() {
        let special = [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "0.1.2.3",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.2.1",
            "168.63.129.16",
            "::1",
            "::",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "::ffff:0:7f00:1",
            "2606:4700::5efe:7f00:1",
        ];
        for text in special {
            let ip: IpAddr = text.parse().unwrap();
            assert!(!is_public(ip.to_canonical()), "{text}");
        }
        for text in ["1.1.1.1", "140.82.114.4", "2606:4700::1111", "2a00:1450:4001::1"] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_translators_network_is_listed_for_what_is_public_behind_it() {
        let reach = Reach::default();
        let networks = ["64:ff9b::/96", "2002::/16", "::/8", "10.0.0.0/8"];
        let allowed = networks.map(|network| network.parse().unwrap());
        let cases = [
            ("64:ff9b::8.8.8.8", true),
            ("64:ff9b::10.1.2.3", true),
            ("64:ff9b::127.0.0.1", false),
            ("64:ff9b::169.254.169.254", false),
            ("2002:808:808::1", true),
            ("2002:7f00:1::1", false),
            ("::ffff:0:192.168.0.1", false),
            ("::127.0.0.1", false),
            ("::5efe:192.168.0.1", false),
        ];
        for (text, passes) in cases {
            let address = SocketAddr::new(text.parse().unwrap(), 443);
            assert_eq!(reach.filter(&[address], &allowed).is_ok(), passes, "{text}");
            assert!(reach.filter(&[address], &[]).is_err(), "{text}");
        }
    }

    #[test]
    fn what_can_be_bound_is_here() {
        assert!(is_here("127.0.0.1".parse().unwrap()));
        // Set aside for documentation: no machine has them.
        for elsewhere in ["192.0.2.1", "2001:db8::1"] {
            assert!(!is_here(elsewhere.parse().unwrap()), "{elsewhere}");
        }
        // A listener on all addresses closes its port to this machine's, not to the world.
        let reach = Reach::new(vec!["0.0.0.0:443".parse().unwrap()]);
        assert!(!reach.is_own("1.1.1.1:443".parse().unwrap()));
    }

    #[test]
    fn own_listeners_are_refused_even_where_loopback_is_allowed() {
        let reach =
            Reach::new(vec!["127.0.0.1:3128".parse().unwrap(), "0.0.0.0:3129".parse().unwrap()]);
        let allowed = ["127.0.0.0/8".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
        let reaches = |text: &str| reach.filter(&[text.parse().unwrap()], &allowed).is_ok();
        assert!(!reaches("127.0.0.1:3128"));
        assert!(!reaches("127.0.0.2:3128"));
        assert!(!reaches("[::ffff:127.0.0.1]:3128"));
        assert!(!reaches("10.0.0.5:3129"));
        assert!(reaches("127.0.0.1:9000"));
        assert!(!reaches("192.168.0.1:443"));
        let mixed = ["1.1.1.1:443".parse().unwrap(), "192.168.0.1:443".parse().unwrap()];
        assert_eq!(reach.filter(&mixed, &[]).unwrap(), ["1.1.1.1:443".parse().unwrap()]);
    }
}

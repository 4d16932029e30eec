use std::{
    fs, io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
};

/// What `-cleanup` tells an instance that lives: leave nothing at the end.
const CLEAN_UP: &[u8] = b"clean up";

/// Says to other instances on this node that this one lives, and knows whether there are any. The sign is a socket in
/// the abstract namespace, which belongs to the node's network and goes with the process, however that ends: no file
/// can be left behind.
pub(super) struct Presence {
    prefix: String,
    sign: UnixDatagram,
    own: String,
}

/// What an instance leaves behind when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaving {
    /// Another instance goes on.
    pub(super) others: bool,
    /// Somebody wants everything gone.
    pub(super) clean_up: bool,
}

impl Presence {
    /// Puts up the sign. Instances with the same `device` care for the same things.
    ///
    /// # Errors
    /// The system gives no socket.
    pub(super) fn announce(device: &str) -> io::Result<Self> {
        let prefix = prefix(device);
        let own = format!("{prefix}{:016x}", rand::random::<u64>());
        let sign = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&own)?)?;
        sign.set_nonblocking(true)?;
        Ok(Self { prefix, sign, own })
    }

    /// Whether other instances live.
    pub(super) fn has_company(&self) -> bool {
        signs(&self.prefix).iter().any(|name| *name != self.own)
    }

    /// Takes the sign down. Two that leave together both find themselves alone, or one of them does: never neither.
    pub(super) fn leave(self) -> Leaving {
        let mut told = [0; CLEAN_UP.len()];
        let clean_up = self.sign.recv(&mut told).is_ok() && told == CLEAN_UP;
        drop(self.sign);
        Leaving { others: signs(&self.prefix).iter().any(|name| *name != self.own), clean_up }
    }
}

/// Tells all living instances to leave nothing at their end; says how many were told.
pub(super) fn tell_to_clean_up(device: &str) -> io::Result<usize> {
    let messenger = UnixDatagram::unbound()?;
    let told = signs(&prefix(device)).into_iter().filter(|name| {
        SocketAddr::from_abstract_name(name).is_ok_and(|sign| messenger.send_to_addr(CLEAN_UP, &sign).is_ok())
    });
    Ok(told.count())
}

fn prefix(device: &str) -> String {
    format!("seamark-node-cache/{device}/")
}

/// The signs that are up in this network namespace.
fn signs(prefix: &str) -> Vec<String> {
    found(&fs::read_to_string("/proc/net/unix").unwrap_or_default(), prefix)
}

fn found(sockets: &str, prefix: &str) -> Vec<String> {
    let names = sockets.lines().filter_map(|line| line.rsplit(' ').next()?.strip_prefix('@'));
    names.filter(|name| name.starts_with(prefix)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_of_the_same_device_count() {
        let sockets = "Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00000000 0002 01 15301 @seamark-node-cache/a/1
0000000000000000: 00000002 00000000 00000000 0002 01 15302 @seamark-node-cache/b/2
0000000000000000: 00000002 00000000 00000000 0002 01 15303 /run/@seamark-node-cache/a/3
0000000000000000: 00000003 00000000 00000000 0001 03 15304
";
        assert_eq!(found(sockets, &prefix("a")), ["seamark-node-cache/a/1"]);
        assert_eq!(found(sockets, &prefix("c")), Vec::<String>::new());
    }

    #[test]
    fn the_last_one_knows_that_it_is_the_last() {
        let device = format!("test-{}", std::process::id());
        let (first, second) = (Presence::announce(&device).unwrap(), Presence::announce(&device).unwrap());
        assert!(first.has_company() && second.has_company());
        assert_eq!(first.leave(), Leaving { others: true, clean_up: false });
        assert!(!second.has_company());
        assert_eq!(tell_to_clean_up(&device).unwrap(), 1);
        assert_eq!(second.leave(), Leaving { others: false, clean_up: true });
        assert_eq!(tell_to_clean_up(&device).unwrap(), 0);
    }
}

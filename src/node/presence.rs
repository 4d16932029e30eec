use std::{
    fs, io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
};

/// Says to other instances on this node that this one lives, and knows whether there are any. The sign is a socket in
/// the abstract namespace, which belongs to the node's network and goes with the process, however that ends: no file
/// can be left behind.
pub struct Presence {
    prefix: String,
    sign: UnixDatagram,
    own: String,
}

impl Presence {
    /// Puts up the sign. Instances with the same `device` care for the same things.
    ///
    /// # Errors
    /// The system gives no socket.
    pub fn announce(device: &str) -> io::Result<Self> {
        let prefix = format!("seamark-node-cache/{device}/");
        let own = format!("{prefix}{:016x}", rand::random::<u64>());
        let sign = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&own)?)?;
        Ok(Self { prefix, sign, own })
    }

    /// Takes the sign down and says whether other instances go on. Two that leave together both find themselves alone,
    /// or one of them does: never neither.
    pub fn leave(self) -> bool {
        drop(self.sign);
        let signs = fs::read_to_string("/proc/net/unix").unwrap_or_default();
        others(&signs, &self.prefix, &self.own)
    }
}

fn others(signs: &str, prefix: &str, own: &str) -> bool {
    let names = signs.lines().filter_map(|line| line.rsplit(' ').next()?.strip_prefix('@'));
    names.filter(|name| name.starts_with(prefix)).any(|name| name != own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_instance_of_the_same_device_counts() {
        let signs = "Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00000000 0002 01 15301 @seamark-node-cache/a/1
0000000000000000: 00000002 00000000 00000000 0002 01 15302 @seamark-node-cache/b/2
0000000000000000: 00000002 00000000 00000000 0002 01 15303 /run/@seamark-node-cache/a/3
0000000000000000: 00000003 00000000 00000000 0001 03 15304
";
        assert!(!others(signs, "seamark-node-cache/a/", "seamark-node-cache/a/1"));
        assert!(others(signs, "seamark-node-cache/a/", "seamark-node-cache/a/9"));
        assert!(!others(signs, "seamark-node-cache/c/", "seamark-node-cache/c/1"));
    }
}

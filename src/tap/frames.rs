//! Frame Streams, the form of a dnstap connection: frames with their length, and some control frames around them
//! (farsightsec.github.io/fstrm).

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, BufWriter},
    time::timeout,
};

use super::Line;

const CONTENT: &[u8] = b"protobuf:dnstap.Dnstap";
/// A field of a control frame: what the frames hold.
const CONTENT_TYPE: u32 = 1;
/// How long the other side may take for its part of a greeting.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest control frame, octets.
const LONGEST: u32 = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Control {
    Accept = 1,
    Start = 2,
    Stop = 3,
    Ready = 4,
    Finish = 5,
}

/// The writing end of a connection, after its greeting.
pub(super) struct Frames(BufWriter<Box<dyn Line>>);

impl Frames {
    /// READY, ACCEPT, START.
    pub(super) async fn begin(line: Box<dyn Line>) -> io::Result<Self> {
        let mut line = BufWriter::with_capacity(32 * 1024, line);
        write(&mut line, Control::Ready).await?;
        line.flush().await?;
        timeout(PATIENCE, accepted(&mut line)).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        write(&mut line, Control::Start).await?;
        line.flush().await?;
        Ok(Self(line))
    }

    /// Writes a message; it leaves at the next [`Frames::flush`] at the latest.
    pub(super) async fn message(&mut self, message: &[u8]) -> io::Result<()> {
        self.0.write_u32(message.len() as u32).await?;
        self.0.write_all(message).await
    }

    pub(super) async fn flush(&mut self) -> io::Result<()> {
        self.0.flush().await
    }

    /// STOP, FINISH: all has arrived.
    pub(super) async fn end(mut self) -> io::Result<()> {
        write(&mut self.0, Control::Stop).await?;
        self.0.flush().await?;
        let finished = async {
            while read(&mut self.0).await?.0 != Control::Finish as u32 {}
            Ok(())
        };
        timeout(PATIENCE, finished).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}

async fn write(line: &mut BufWriter<Box<dyn Line>>, control: Control) -> io::Result<()> {
    let named = matches!(control, Control::Ready | Control::Start);
    // An escape: a frame of length zero.
    line.write_u32(0).await?;
    line.write_u32(if named { 12 + CONTENT.len() as u32 } else { 4 }).await?;
    line.write_u32(control as u32).await?;
    if named {
        line.write_u32(CONTENT_TYPE).await?;
        line.write_u32(CONTENT.len() as u32).await?;
        line.write_all(CONTENT).await?;
    }
    Ok(())
}

/// Waits for ACCEPT. A collector that names what it takes must name ours.
async fn accepted(line: &mut BufWriter<Box<dyn Line>>) -> io::Result<()> {
    let (kind, fields) = read(line).await?;
    if kind != Control::Accept as u32 {
        return Err(io::Error::other("the collector did not accept"));
    }
    let takes = fields.is_empty() || fields.windows(CONTENT.len()).any(|part| part == CONTENT);
    if takes { Ok(()) } else { Err(io::Error::other("the collector does not take protobuf:dnstap.Dnstap")) }
}

/// The next control frame: its type and what is behind it.
async fn read(line: &mut BufWriter<Box<dyn Line>>) -> io::Result<(u32, Vec<u8>)> {
    let (escape, length) = (line.read_u32().await?, line.read_u32().await?);
    if escape != 0 || !(4..=LONGEST).contains(&length) {
        return Err(io::Error::other("the collector does not speak Frame Streams"));
    }
    let kind = line.read_u32().await?;
    let mut fields = vec![0; length as usize - 4];
    line.read_exact(&mut fields).await?;
    Ok((kind, fields))
}

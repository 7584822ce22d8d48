//! Starts `cicada` and watches it: every wait is bounded, and nothing started here outlives its test.

use std::fs;
use std::io::{BufRead as _, BufReader, ErrorKind, Read};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Generous: reached only when something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A command line of `cicada`, about to be started.
pub(crate) struct Cicada {
    command: Command,
}

impl Cicada {
    /// `cicada` with these arguments, split at blanks.
    pub(crate) fn new(arguments: &str) -> Self {
        Self::in_network(&Network::ours(), arguments)
    }

    /// The same in a network of its own.
    pub(crate) fn in_network(network: &Network, arguments: &str) -> Self {
        let mut command = network.command(env!("CARGO_BIN_EXE_cicada"));
        command.args(arguments.split_whitespace());
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CICADA_")) {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { command }
    }

    pub(crate) fn variable(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn folder(mut self, folder: &Folder) -> Self {
        self.command.current_dir(folder.path());
        self
    }

    pub(crate) fn input_file(mut self, path: &Path) -> Self {
        self.command.stdin(fs::File::open(path).expect("the input file is there"));
        self
    }

    pub(crate) fn start(mut self) -> Running {
        let shown = format!("{:?}", self.command);
        let mut child = self.command.spawn().expect("the program starts");
        let stdout = Text::read(child.stdout.take().expect("piped"));
        let stderr = Text::read(child.stderr.take().expect("piped"));
        Running { shown, child, stdout, stderr }
    }

    pub(crate) fn finish(self) -> Finished {
        self.start().finish()
    }
}

/// A started program; killed when dropped.
pub(crate) struct Running {
    shown: String,
    child: Child,
    stdout: Arc<Text>,
    stderr: Arc<Text>,
}

impl Running {
    /// Waits until a line of standard output contains `part`, and gives that line.
    pub(crate) fn printed(&self, part: &str) -> String {
        self.stdout.wait_for(part).unwrap_or_else(|| panic!("never printed {part:?}: {self:?}"))
    }

    /// Waits until a line of standard error contains `part`, and gives that line.
    pub(crate) fn logged(&self, part: &str) -> String {
        self.stderr.wait_for(part).unwrap_or_else(|| panic!("never logged {part:?}: {self:?}"))
    }

    /// What Ctrl-C (`INT`) or a service manager (`TERM`) does.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().expect("`kill` is there");
        assert!(sent.success());
    }

    /// Waits for the end.
    pub(crate) fn finish(mut self) -> Finished {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait().expect("it is our child") {
                Some(status) => break status,
                None if Instant::now() > deadline => panic!("did not end: {self:?}"),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        self.stdout.wait_for_end();
        self.stderr.wait_for_end();
        Finished { shown: self.shown.clone(), status, stdout: self.stdout.lines(), stderr: self.stderr.lines() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\nprinted: {:#?}\nlogged: {:#?}", self.shown, self.stdout.lines(), self.stderr.lines())
    }
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Finished {
    #[expect(dead_code, reason = "shown when an assertion fails")]
    shown: String,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<String>,
    pub(crate) stderr: Vec<String>,
}

impl Finished {
    pub(crate) fn succeeded(self) -> Self {
        assert!(self.status.success(), "{self:#?}");
        self
    }

    /// It ended with this status, and the last line of standard error says why.
    pub(crate) fn failed(self, status: i32, why: &str) -> Self {
        assert_eq!(self.status.code(), Some(status), "{self:#?}");
        assert!(self.stderr.last().is_some_and(|line| line.contains(why)), "{why:?} is not what is said: {self:#?}");
        self
    }

    /// Standard error holds one line and no more.
    pub(crate) fn in_one_line(self) -> Self {
        assert_eq!(self.stderr.len(), 1, "{self:#?}");
        self
    }
}

/// A private address in every fresh network, and not a loopback one.
pub(crate) const PRIVATE: &str = "10.77.0.1";

/// What arrives on a pipe, line by line.
struct Text {
    state: Mutex<(Vec<String>, bool)>,
    changed: Condvar,
}

impl Text {
    fn read(pipe: impl Read + Send + 'static) -> Arc<Self> {
        let text = Arc::new(Self { state: Mutex::default(), changed: Condvar::new() });
        let reader = text.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).trim_end_matches('\r').to_owned();
                reader.state.lock().expect("no reader panics").0.push(line);
                reader.changed.notify_all();
            }
            reader.state.lock().expect("no reader panics").1 = true;
            reader.changed.notify_all();
        });
        text
    }

    fn lines(&self) -> Vec<String> {
        self.state.lock().expect("no reader panics").0.clone()
    }

    fn wait_for(&self, part: &str) -> Option<String> {
        let found = |lines: &[String]| lines.iter().find(|line| line.contains(part)).cloned();
        let state = self.state.lock().expect("no reader panics");
        let unfinished = |(lines, ended): &mut (Vec<String>, bool)| !*ended && found(lines).is_none();
        let (state, _) = self.changed.wait_timeout_while(state, PATIENCE, unfinished).expect("no reader panics");
        found(&state.0)
    }

    fn wait_for_end(&self) {
        let state = self.state.lock().expect("no reader panics");
        let (state, _) = self.changed.wait_timeout_while(state, PATIENCE, |state| !state.1).expect("no reader panics");
        assert!(state.1, "the pipe of an ended program stays open");
    }
}

/// Where programs run: the machine's network, or one of their own in which every port is free.
pub(crate) struct Network {
    /// Its standard input keeps it, and with it the network, alive.
    holder: Option<Child>,
}

impl Network {
    pub(crate) fn ours() -> Self {
        Self { holder: None }
    }

    /// A fresh network with loopback only, which also has [`PRIVATE`]; `None` where the system does not let us make one.
    pub(crate) fn fresh() -> Option<Self> {
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", &format!("ip link set lo up && ip address add {PRIVATE}/32 dev lo && echo up && read end")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut first_line = String::new();
        let _ = BufReader::new(holder.stdout.take()?).read_line(&mut first_line);
        let network = Self { holder: Some(holder) };
        (first_line.trim() == "up").then_some(network)
    }

    fn command(&self, program: &str) -> Command {
        let Some(holder) = &self.holder else {
            return Command::new(program);
        };
        // nsenter becomes the program: its process id is the program's.
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &holder.id().to_string(), "--", program]);
        command
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(holder) = &mut self.holder {
            drop(holder.stdin.take());
            // It ends by itself with its input.
            let _ = holder.wait();
        }
    }
}

/// A folder that is gone with its test.
pub(crate) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(crate) fn new() -> Self {
        let name = format!("cicada-program-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("no other folder has this name");
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn write(&self, name: &str, data: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, data).expect("the folder is ours");
        path
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.path).expect("the folder is ours");
        entries.map(|entry| entry.expect("the folder is ours").file_name().to_string_lossy().into_owned()).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left is the system's to clean up.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Ports that are free now, below the range from which the system serves those who ask for any, so
/// that nobody is given them before the program under test binds them.
pub(crate) fn free_ports<const N: usize>() -> [u16; N] {
    std::array::from_fn(|_| {
        let start = std::process::id() % 500 * 24;
        loop {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let port = u16::try_from(20_000 + (start + step) % 12_000).expect("below 32 000");
            if is_free(port) {
                return port;
            }
        }
    })
}

/// Whether a UDP port can be bound on both loopback addresses, where there are both.
pub(crate) fn is_free(port: u16) -> bool {
    let in_use = |bound: std::io::Result<UdpSocket>| bound.is_err_and(|error| error.kind() == ErrorKind::AddrInUse);
    !in_use(UdpSocket::bind(("127.0.0.1", port))) && !in_use(UdpSocket::bind(("::1", port)))
}

static NEXT: AtomicU32 = AtomicU32::new(0);

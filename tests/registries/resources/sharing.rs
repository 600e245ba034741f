//! One resource for each key, closed by the last who lets go.

use super::{descriptors, Directory};
use crate::common::{panic_of, promptly, Census, Citizen};
use highlander::registries::resources::{Files, Resources, Stream};
use highlander::{Handle, Recent, Registry};
use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

type Connections = Resources<SocketAddr, TcpStream>;

/// The shared connection to a server, and the server's end.
fn connected(connections: &Connections) -> (Handle<SocketAddr, TcpStream>, TcpStream) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let ours = connections
        .open(address, |address| TcpStream::connect(address))
        .unwrap();
    (ours, server.accept().unwrap().0)
}

/// Demands that our end is open: what is sent arrives, and no end after it.
fn open(mut ours: impl Write, theirs: &mut TcpStream) {
    ours.write_all(b"there").unwrap();
    let mut text = [0; 5];
    theirs.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"there");
    theirs.set_nonblocking(true).unwrap();
    let nothing = theirs.read(&mut text).unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    theirs.set_nonblocking(false).unwrap();
}

/// Demands that our end is closed.
fn closed(theirs: &mut TcpStream) {
    assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
}

/// BEHAVIOURS.md 6.4, 6.5
#[test]
fn a_socket_that_is_closed_stays_open_for_its_files() {
    promptly(|| {
        let connections = Connections::new();
        let (socket, mut theirs) = connected(&connections);
        let mut socket = Stream::new(socket);
        let (mut one, mut two) = (socket.clone(), socket.clone());
        assert!(socket.close());
        assert!(socket.is_closed() && socket.resource().is_none());
        open(&mut one, &mut theirs);
        assert_eq!(connections.len(), 1);
        assert!(one.close());
        open(&mut two, &mut theirs);
        assert!(two.close());
        assert!(connections.is_empty());
        closed(&mut theirs);
    });
}

/// BEHAVIOURS.md 6.6
#[test]
fn closing_twice_lets_go_once_and_dropping_lets_go() {
    promptly(|| {
        let connections = Connections::new();
        let (socket, mut theirs) = connected(&connections);
        let (mut one, two) = (Stream::new(socket.clone()), Stream::new(socket.clone()));
        assert_eq!(Handle::strong_count(&socket), 3);
        assert!(one.close());
        assert!(!one.close() && !one.close());
        assert_eq!(Handle::strong_count(&socket), 2);
        drop(two);
        assert_eq!(Handle::strong_count(&socket), 1);
        drop(one);
        open(&*socket, &mut theirs);
        drop(socket);
        closed(&mut theirs);
    });
}

/// BEHAVIOURS.md 6.7
#[test]
fn a_socket_outlives_its_files() {
    promptly(|| {
        let connections = Connections::new();
        let (socket, mut theirs) = connected(&connections);
        for _ in 0..3 {
            assert!(Stream::new(socket.clone()).close());
        }
        open(&*socket, &mut theirs);
        // And gives up its views without being closed: `detach`.
        let stream = Stream::new(socket);
        let socket = stream.into_resource().unwrap();
        open(&*socket, &mut theirs);
        assert!(connections.detach(&socket) && !connections.detach(&socket));
        assert!(connections.is_empty());
        open(&*socket, &mut theirs);
        drop(socket);
        closed(&mut theirs);
    });
}

#[test]
fn a_closed_stream_reads_and_writes_nothing() {
    let directory = Directory::new();
    let files: Files = Files::by_path();
    let file = files.open(directory.file("text", "one\ntwo\n")).unwrap();
    let mut stream = Stream::new(file);
    let mut lines = BufReader::new(stream.clone()).lines();
    assert_eq!(lines.next().unwrap().unwrap(), "one");
    drop(lines);
    assert_eq!(stream.stream_position().unwrap(), 8, "one position for all");
    stream.rewind().unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text, "one\ntwo\n");
    assert!(stream.write_all(b"x").is_err(), "opened to be read");
    assert!(stream.close());
    let kinds = [
        stream.read(&mut [0]).unwrap_err().kind(),
        stream.write(&[0]).unwrap_err().kind(),
        stream.flush().unwrap_err().kind(),
        stream.rewind().unwrap_err().kind(),
    ];
    assert_eq!(kinds, [ErrorKind::NotConnected; 4]);
    assert!(stream.clone().is_closed() && stream.into_resource().is_none());
}

#[test]
fn all_who_ask_share_one_and_the_last_closes_it() {
    promptly(|| {
        let directory = Directory::new();
        let path = directory.file("text", "there can be only one");
        let files: Files = Files::by_path();
        let asked = Barrier::new(8);
        for _ in 0..50 {
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        asked.wait();
                        let file = files.open(&path).unwrap();
                        assert_eq!(descriptors(&path, 1), 1);
                        asked.wait();
                        assert_eq!(Handle::strong_count(&file), 8);
                        asked.wait();
                        drop(file);
                    });
                }
            });
            assert_eq!(descriptors(&path, 0), 0);
            assert!(files.is_empty());
        }
    });
}

/// Exists while somebody holds it: to be made by one, and removed by one.
struct Lock(PathBuf);

impl Lock {
    fn take(path: &PathBuf) -> io::Result<Self> {
        OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(Self(path.clone()))
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        thread::yield_now();
        std::fs::remove_file(&self.0).unwrap();
    }
}

#[test]
fn nothing_is_opened_before_the_one_before_has_been_closed() {
    promptly(|| {
        let directory = Directory::new();
        let locks: Resources<PathBuf, Lock> = Resources::new();
        let taken = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for round in 0..200 {
                        let path = directory.path(["one", "two"][round % 2]);
                        let take = |path: &PathBuf| {
                            taken.fetch_add(1, SeqCst);
                            Lock::take(path)
                        };
                        drop(locks.open(path, take).expect("is there still"));
                    }
                });
            }
        });
        assert!(taken.load(SeqCst) >= 2);
        assert!(locks.is_empty());
    });
}

#[test]
fn what_cannot_be_opened_enters_nothing() {
    let directory = Directory::new();
    let census = Census::new();
    for files in [Files::by_path(), Files::by_identity()] {
        let files: Files<Citizen> = files;
        let absent = files.open_with(directory.path("absent"), |_| Ok(census.citizen()));
        assert_eq!(absent.unwrap_err().kind(), ErrorKind::NotFound);
        let path = directory.file("text", "");
        // Whatever it is: `NotFound` too.
        for kind in [
            ErrorKind::NotFound,
            ErrorKind::Interrupted,
            ErrorKind::Other,
        ] {
            let failed = files.open_with(&path, |_| Err(kind.into()));
            assert_eq!(failed.unwrap_err().kind(), kind);
        }
        let panicked = panic_of(|| files.open_with(&path, |_| panic!("on purpose")));
        assert_eq!(panicked, "on purpose");
        let own = files.open_with(&path, |_| {
            files.open_with(&path, |_| unreachable!("opens itself"))?;
            Ok(census.citizen())
        });
        assert!(own.unwrap_err().to_string().contains("asked for"));
        assert!(files.is_empty());
        assert_eq!(descriptors(&path, 0), 0);
        assert!(files.open_with(&path, |_| Ok(census.citizen())).is_ok());
        assert_eq!(census.alive(), 0);
    }
}

/// One of those who wait tries for itself.
#[test]
fn a_failure_is_nobody_elses() {
    promptly(|| {
        let directory = Directory::new();
        let path = directory.file("text", "");
        let files: Files<usize> = Files::by_identity();
        let (asked, tried) = (Barrier::new(4), AtomicUsize::new(0));
        let open = || {
            asked.wait();
            files.open_with(&path, |_| match tried.fetch_add(1, SeqCst) {
                0 => Err(ErrorKind::PermissionDenied.into()),
                number => Ok(number),
            })
        };
        let results: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1);
    });
}

#[test]
fn a_destructor_that_opens_its_own_key_gets_an_error() {
    struct Phoenix(&'static Resources<u32, Option<Phoenix>>, Arc<Mutex<String>>);
    impl Drop for Phoenix {
        fn drop(&mut self) {
            let again = self.0.open(1, |_| Ok(None));
            *self.1.lock().unwrap() = again.err().unwrap().to_string();
        }
    }
    promptly(|| {
        static RESOURCES: Resources<u32, Option<Phoenix>> = Resources::new();
        let told = Arc::new(Mutex::new(String::new()));
        drop(RESOURCES.open(1, |_| Ok(Some(Phoenix(&RESOURCES, told.clone())))));
        assert!(told.lock().unwrap().contains("the end of the value"));
        assert!(RESOURCES.open(1, |_| Ok(None)).unwrap().is_none());
    });
}

#[test]
fn kept_a_little_longer_by_a_layer() {
    let census = Census::new();
    let resources: Resources<u32, Citizen> = Resources::new();
    let recent: Recent<&Registry<u32, Citizen>> = Recent::new(resources.registry(), 2);
    for key in 0..10 {
        recent.get_or_insert_with(key, |_| census.citizen());
    }
    assert_eq!((census.alive(), resources.len()), (2, 2));
    assert!(resources.get(&9).is_some() && resources.get(&0).is_none());
    recent.clear();
    assert_eq!((census.alive(), resources.iter().len()), (0, 0));
}

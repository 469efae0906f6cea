//! Streams and events. A stream knows until when its kernels would run.

use std::collections::HashMap;
use std::ffi::{c_float, c_uint, c_void};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::journal::{Event, For, record};
use crate::refuse;
use crate::settings::settings;
use crate::status::{INVALID_HANDLE, INVALID_VALUE, NOT_READY, SUCCESS, Status};

/// The flags of a stream and of an event are sums of these.
const STREAM_FLAGS: c_uint = 1;
const EVENT_FLAGS: c_uint = 7;

/// Streams and events, each with the time at which its work is done.
#[derive(Default)]
struct Queues {
    /// The last handle.
    last: usize,
    /// The streams that were created, and the default stream 0 once it is used.
    streams: HashMap<usize, Instant>,
    /// `None` before an event is recorded.
    events: HashMap<usize, Option<Instant>>,
}

impl Queues {
    fn new_handle(&mut self) -> usize {
        self.last += 16;
        self.last
    }

    /// The time of a stream.
    fn stream(&mut self, call: &'static str, stream: *mut c_void) -> Result<&mut Instant, Status> {
        match stream as usize {
            0 => Ok(self.streams.entry(0).or_insert_with(Instant::now)),
            handle => self
                .streams
                .get_mut(&handle)
                .ok_or_else(|| refuse(call, INVALID_HANDLE, format!("{handle:#x} is no stream"))),
        }
    }

    /// The time of an event.
    fn event(&mut self, call: &'static str, event: *mut c_void) -> Result<&mut Option<Instant>, Status> {
        let handle = event as usize;
        self.events.get_mut(&handle).ok_or_else(|| refuse(call, INVALID_HANDLE, format!("{handle:#x} is no event")))
    }
}

fn queues() -> MutexGuard<'static, Queues> {
    static QUEUES: LazyLock<Mutex<Queues>> = LazyLock::new(Mutex::default);
    QUEUES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sleeps until a time.
fn wait_until(time: Instant) {
    std::thread::sleep(time.saturating_duration_since(Instant::now()));
}

/// Waits for all streams.
pub(crate) fn wait_for_all() {
    let last = queues().streams.values().max().copied();
    last.into_iter().for_each(wait_until);
}

/// Adds a kernel to a stream.
pub(crate) fn launch(call: &'static str, stream: *mut c_void) -> Result<(), Status> {
    let kernel_time = settings().map_or(Duration::ZERO, |settings| settings.kernel_time);
    let mut queues = queues();
    let time = queues.stream(call, stream)?;
    *time = (*time).max(Instant::now()) + kernel_time;
    Ok(())
}

/// Writes a new handle.
///
/// # Safety
/// `handle` is null or valid for a write.
unsafe fn create(
    call: &'static str,
    handle: *mut *mut c_void,
    flags: c_uint,
    known: c_uint,
    insert: impl FnOnce(&mut Queues, usize),
) -> Status {
    if handle.is_null() || flags & !known != 0 {
        return refuse(call, INVALID_VALUE, format!("no place for the handle, or unknown flags {flags:#x}"));
    }
    let mut queues = queues();
    let new = queues.new_handle();
    insert(&mut queues, new);
    // SAFETY: the contract is the caller's.
    unsafe { handle.write(new as *mut c_void) };
    SUCCESS
}

/// The status of a call.
fn status(result: Result<(), Status>) -> Status {
    result.err().unwrap_or(SUCCESS)
}

/// Creates a stream.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuStreamCreate(stream: *mut *mut c_void, flags: c_uint) -> Status {
    let insert = |queues: &mut Queues, new| {
        queues.streams.insert(new, Instant::now());
    };
    // SAFETY: the contract is the caller's.
    unsafe { create("cuStreamCreate", stream, flags, STREAM_FLAGS, insert) }
}

/// Destroys a stream.
#[unsafe(no_mangle)]
pub extern "C" fn cuStreamDestroy_v2(stream: *mut c_void) -> Status {
    let mut queues = queues();
    let known = queues.stream("cuStreamDestroy_v2", stream).map(drop);
    queues.streams.remove(&(stream as usize));
    status(known)
}

/// Waits for a stream.
#[unsafe(no_mangle)]
pub extern "C" fn cuStreamSynchronize(stream: *mut c_void) -> Status {
    let time = queues().stream("cuStreamSynchronize", stream).copied();
    status(time.map(|time| {
        wait_until(time);
        record(Event::Wait(For::Stream));
    }))
}

/// Lets a stream wait for an event.
#[unsafe(no_mangle)]
pub extern "C" fn cuStreamWaitEvent(stream: *mut c_void, event: *mut c_void, _flags: c_uint) -> Status {
    let call = "cuStreamWaitEvent";
    let mut queues = queues();
    let recorded = queues.event(call, event).copied();
    let waited = recorded.and_then(|recorded| {
        let time = queues.stream(call, stream)?;
        *time = recorded.map_or(*time, |recorded| recorded.max(*time));
        Ok(())
    });
    drop(queues);
    status(waited.map(|()| record(Event::StreamWait)))
}

/// Creates an event.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventCreate(event: *mut *mut c_void, flags: c_uint) -> Status {
    let insert = |queues: &mut Queues, new| {
        queues.events.insert(new, None);
    };
    // SAFETY: the contract is the caller's.
    unsafe { create("cuEventCreate", event, flags, EVENT_FLAGS, insert) }
}

/// Records an event at the end of a stream.
#[unsafe(no_mangle)]
pub extern "C" fn cuEventRecord(event: *mut c_void, stream: *mut c_void) -> Status {
    let call = "cuEventRecord";
    let mut queues = queues();
    let time = queues.stream(call, stream).copied();
    status(time.and_then(|time| {
        *queues.event(call, event)? = Some(time);
        Ok(())
    }))
}

/// Whether the work before an event is done.
#[unsafe(no_mangle)]
pub extern "C" fn cuEventQuery(event: *mut c_void) -> Status {
    match queues().event("cuEventQuery", event) {
        Ok(recorded) if recorded.is_some_and(|time| time > Instant::now()) => NOT_READY,
        Ok(_) => SUCCESS,
        Err(status) => status,
    }
}

/// Waits for the work before an event.
#[unsafe(no_mangle)]
pub extern "C" fn cuEventSynchronize(event: *mut c_void) -> Status {
    let recorded = queues().event("cuEventSynchronize", event).copied();
    status(recorded.map(|recorded| {
        recorded.into_iter().for_each(wait_until);
        record(Event::Wait(For::Event));
    }))
}

/// Destroys an event.
#[unsafe(no_mangle)]
pub extern "C" fn cuEventDestroy_v2(event: *mut c_void) -> Status {
    let mut queues = queues();
    let known = queues.event("cuEventDestroy_v2", event).map(drop);
    queues.events.remove(&(event as usize));
    status(known)
}

/// Writes the milliseconds between two events.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuEventElapsedTime_v2(
    milliseconds: *mut c_float,
    start: *mut c_void,
    end: *mut c_void,
) -> Status {
    let call = "cuEventElapsedTime_v2";
    let mut queues = queues();
    let times = queues.event(call, start).copied().and_then(|start| Ok((start, *queues.event(call, end)?)));
    match times {
        Ok((Some(start), Some(end))) if !milliseconds.is_null() => {
            let elapsed = end.saturating_duration_since(start).as_secs_f32() * 1e3;
            // SAFETY: the caller passes a pointer that is valid for a write unless it is null.
            unsafe { milliseconds.write(elapsed) };
            SUCCESS
        }
        Ok(_) => refuse(call, INVALID_HANDLE, "an event was not recorded, or there is no place for the result"),
        Err(status) => status,
    }
}

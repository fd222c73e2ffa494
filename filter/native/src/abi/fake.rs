//! An Envoy in memory, for unit tests: its callbacks work on what a raw pointer really points to.

use std::cell::RefCell;

use super::{Buffer, Header, Raw};

/// A configuration of Envoy's.
#[derive(Debug, Default)]
pub(crate) struct FakeConfig {
    /// The names of metrics, by their ids.
    pub(crate) defined: RefCell<Vec<String>>,
    /// What was added and set: `name value value = number`.
    pub(crate) written: RefCell<Vec<String>>,
}

/// A stream of Envoy's.
#[derive(Debug, Default)]
pub(crate) struct FakeStream {
    /// Headers of the request, and of the response.
    pub(crate) headers: RefCell<[Vec<(String, Vec<u8>)>; 2]>,
    /// How often the route was chosen again.
    pub(crate) routed: RefCell<usize>,
    /// Texts that were handed out, so that they live as long as the stream.
    lent: RefCell<Vec<Box<[u8]>>>,
}

impl FakeConfig {
    /// As Envoy hands it to hooks.
    pub(crate) fn raw(&self) -> Raw {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    fn write(&self, id: usize, values: &[Buffer], number: u64) {
        let name = self.defined.borrow()[id].clone();
        let values: String = values.iter().map(|value| text(*value) + " ").collect();
        let line = format!("{name} {values}= {number}");
        self.written.borrow_mut().push(line);
    }
}

impl FakeStream {
    /// As Envoy hands it to hooks.
    pub(crate) fn raw(&self) -> Raw {
        std::ptr::from_ref(self).cast_mut().cast()
    }

    /// A request's header, if it is there.
    pub(crate) fn request_header(&self, name: &str) -> Option<Vec<u8>> {
        let headers = self.headers.borrow();
        let mut all = headers[0].iter();
        all.find(|(own, _)| own == name)
            .map(|(_, value)| value.clone())
    }

    fn lend(&self, bytes: &[u8]) -> Buffer {
        let mut lent = self.lent.borrow_mut();
        lent.push(bytes.into());
        Buffer::of(lent.last().unwrap())
    }
}

fn text(buffer: Buffer) -> String {
    // SAFETY: readable during the call.
    String::from_utf8_lossy(unsafe { buffer.bytes() }).into_owned()
}

fn config<'a>(raw: Raw) -> &'a FakeConfig {
    // SAFETY: tests hand out nothing else.
    unsafe { &*raw.cast() }
}

fn stream<'a>(raw: Raw) -> &'a FakeStream {
    // SAFETY: as above.
    unsafe { &*raw.cast() }
}

fn place(map: u32) -> usize {
    usize::from(map == 2)
}

macro_rules! callbacks {
    ($($name:ident($($argument:ident: $kind:ty),*) $(-> $answer:ty)? $body:block)*) => {$(
        #[allow(non_snake_case, reason = "as Envoy names it")]
        pub(super) unsafe fn $name($($argument: $kind),*) $(-> $answer)? $body
    )*};
}

callbacks! {
    envoy_dynamic_module_callback_log(_level: u32, line: Buffer) {
        // Seen where a test fails.
        println!("{}", text(line));
    }
    envoy_dynamic_module_callback_get_concurrency() -> u32 {
        2
    }
    envoy_dynamic_module_callback_get_function(_name: Buffer, _function: *mut Raw) -> bool {
        false
    }
    envoy_dynamic_module_callback_register_function(_name: Buffer, _function: Raw) -> bool {
        true
    }
    envoy_dynamic_module_callback_http_filter_config_define_counter(
        raw: Raw, name: Buffer, _labels: *const Buffer, _number: usize, id: *mut usize
    ) -> u32 {
        let mut defined = config(raw).defined.borrow_mut();
        // SAFETY: the caller's variable.
        unsafe { *id = defined.len() };
        defined.push(text(name));
        0
    }
    envoy_dynamic_module_callback_http_filter_config_define_gauge(
        raw: Raw, name: Buffer, labels: *const Buffer, number: usize, id: *mut usize
    ) -> u32 {
        // SAFETY: as given.
        unsafe {
            envoy_dynamic_module_callback_http_filter_config_define_counter(
                raw, name, labels, number, id,
            )
        }
    }
    envoy_dynamic_module_callback_http_filter_config_define_histogram(
        raw: Raw, name: Buffer, labels: *const Buffer, number: usize, id: *mut usize
    ) -> u32 {
        // SAFETY: as given.
        unsafe {
            envoy_dynamic_module_callback_http_filter_config_define_counter(
                raw, name, labels, number, id,
            )
        }
    }
    envoy_dynamic_module_callback_http_filter_config_increment_counter(
        raw: Raw, id: usize, values: *const Buffer, number: usize, by: u64
    ) -> u32 {
        // SAFETY: as given.
        config(raw).write(id, unsafe { std::slice::from_raw_parts(values, number) }, by);
        0
    }
    envoy_dynamic_module_callback_http_filter_config_set_gauge(
        raw: Raw, id: usize, values: *const Buffer, number: usize, value: u64
    ) -> u32 {
        // SAFETY: as given.
        config(raw).write(id, unsafe { std::slice::from_raw_parts(values, number) }, value);
        0
    }
    envoy_dynamic_module_callback_http_filter_config_scheduler_new(raw: Raw) -> Raw {
        raw
    }
    envoy_dynamic_module_callback_http_filter_config_scheduler_commit(_raw: Raw, _event: u64) {}
    envoy_dynamic_module_callback_http_filter_config_scheduler_delete(_raw: Raw) {}
    envoy_dynamic_module_callback_http_filter_config_http_callout(
        _raw: Raw, _id: *mut u64, _cluster: Buffer, _headers: *const Header, _number: usize,
        _body: Buffer, _milliseconds: u64
    ) -> u32 {
        2
    }
    envoy_dynamic_module_callback_http_filter_record_histogram_value(
        _raw: Raw, _id: usize, _values: *const Buffer, _number: usize, _value: u64
    ) -> u32 {
        0
    }
    envoy_dynamic_module_callback_http_filter_get_worker_index(_raw: Raw) -> u32 {
        1
    }
    envoy_dynamic_module_callback_http_get_header(
        raw: Raw, map: u32, name: Buffer, value: *mut Buffer, index: usize, _number: *mut usize
    ) -> bool {
        let (stream, name) = (stream(raw), text(name));
        let headers = stream.headers.borrow();
        let mut named = headers[place(map)].iter().filter(|(own, _)| *own == name);
        match named.nth(index) {
            // SAFETY: the caller's variable.
            Some((_, found)) => unsafe { *value = stream.lend(found) },
            None => return false,
        }
        true
    }
    envoy_dynamic_module_callback_http_get_headers_size(raw: Raw, map: u32) -> usize {
        stream(raw).headers.borrow()[place(map)].len()
    }
    envoy_dynamic_module_callback_http_get_headers(
        raw: Raw, map: u32, headers: *mut Header
    ) -> bool {
        let stream = stream(raw);
        for (at, (name, value)) in stream.headers.borrow()[place(map)].iter().enumerate() {
            let header = Header {
                name: stream.lend(name.as_bytes()),
                value: stream.lend(value),
            };
            // SAFETY: there is room for as many as there are.
            unsafe { *headers.add(at) = header };
        }
        true
    }
    envoy_dynamic_module_callback_http_set_header(
        raw: Raw, map: u32, name: Buffer, value: Buffer
    ) -> bool {
        let (stream, name) = (stream(raw), text(name));
        let headers = &mut stream.headers.borrow_mut()[place(map)];
        headers.retain(|(own, _)| *own != name);
        if !value.pointer.is_null() {
            // SAFETY: readable during the call.
            headers.push((name, unsafe { value.bytes() }.to_vec()));
        }
        true
    }
    envoy_dynamic_module_callback_http_add_header(
        raw: Raw, map: u32, name: Buffer, value: Buffer
    ) -> bool {
        let headers = &mut stream(raw).headers.borrow_mut()[place(map)];
        // SAFETY: readable during the call.
        headers.push((text(name), unsafe { value.bytes() }.to_vec()));
        true
    }
    envoy_dynamic_module_callback_http_clear_route_cache(raw: Raw) {
        *stream(raw).routed.borrow_mut() += 1;
    }
    envoy_dynamic_module_callback_http_filter_get_attribute_string(
        _raw: Raw, _id: u32, _value: *mut Buffer
    ) -> bool {
        false
    }
    envoy_dynamic_module_callback_http_get_filter_state_bytes(
        _raw: Raw, _key: Buffer, _value: *mut Buffer
    ) -> bool {
        false
    }
}

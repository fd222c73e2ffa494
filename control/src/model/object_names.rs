//! Names of Kubernetes' objects (RFC 1123, as the API server has it).

/// The longest name of an object, in bytes.
const LONGEST_NAME: usize = 253;

/// Whether a text may be the name of an object whose kind asks for no more: labels with dots between.
pub fn is_subdomain(text: &str) -> bool {
    text.len() <= LONGEST_NAME && text.split('.').all(is_label)
}

/// Whether a text has the form of a label. One of a subdomain may be as long as the whole.
pub fn is_label(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}

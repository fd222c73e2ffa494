//! What headers of a random request have as values.

/// Lines that are read up to a limit only, or cost so much that not everything can be read.
pub(super) fn beyond_limits() -> [(&'static str, Vec<u8>); 6] {
    let long = |length: usize| vec![b'u'; length];
    let filled = |length: usize| [b"theme=".to_vec(), long(length), b"; uid=u1".to_vec()].concat();
    [
        ("cookie", filled(20_000)),
        ("cookie", filled(40_000)),
        (
            "cookie",
            [b"a=1; ".repeat(200), b"uid=u2".to_vec()].concat(),
        ),
        ("x-user-id", long(8 * 1024)),
        ("x-user-id", long(8 * 1024 + 1)),
        ("x-app", long(30_000)),
    ]
}

/// What headers have as values.
pub(super) fn values() -> Vec<(&'static str, Vec<&'static [u8]>)> {
    vec![
        (
            "cookie",
            vec![
                b"uid=u1",
                b"uid=u2",
                b"uid=u1; force=canary",
                b"force=blue; uid=u4",
                b"uid=",
                b"uid=\"u7\"",
                b"email=joe@b.com; theme=dark",
                b"uid=\xff\xfe",
                b"",
                b";;=;",
                b"force=nonsense",
                b"visitor=known; uid2=other",
                b"__Host-v=known",
            ],
        ),
        (
            "x-user-id",
            vec![b"u1", b"u2", b"u3", b"", b"\xff\xfe", b"ios", b" u9 "],
        ),
        (
            "x-force",
            vec![b"canary", b"stable", b"v3", b"new", b"", b"nonsense"],
        ),
        (
            "x-sluice-web",
            vec![b"canary", b"stable", b"", b"spoofed", b"v1", b"\xff"],
        ),
        ("x-sluice-api", vec![b"canary", b"spoofed"]),
        ("x-sluice-many-03", vec![b"spoofed"]),
        ("x-sluice-many-17", vec![b"spoofed"]),
        ("x-v", vec![b"canary", b"spoofed", b"new"]),
        ("x-app", vec![b"ios", b"", b"gold", b"joe@b.com"]),
        ("user-agent", vec![b"a Bot", b"curl/8", b""]),
        ("sec-fetch-mode", vec![b"navigate", b"no-cors", b"cors"]),
        ("sec-fetch-dest", vec![b"document", b"image", b"empty"]),
        ("purpose", vec![b"prefetch"]),
        ("sec-purpose", vec![b"prefetch"]),
        (
            "content-type",
            vec![b"application/json", b"application/grpc", b"ios"],
        ),
        ("accept", vec![b"text/html", b"image/png"]),
        ("access-control-request-method", vec![b"PUT"]),
        (
            "x-answer-with",
            vec![
                b"cache-control: public, s-maxage=600",
                b"cache-control: max-age=6",
                b"Cache-Control: private=\"x, y\"",
                b"cache-control:",
                b"cdn-cache-control: max-age=600",
                b"surrogate-control: max-age=6, content=\"ESI/1.0\"",
                b"x-accel-expires: 3600",
                b"set-cookie: theirs=1; Path=/",
                b"expires: 0",
                b"vary: cookie",
                b"edge-control: !no-store",
            ],
        ),
    ]
}

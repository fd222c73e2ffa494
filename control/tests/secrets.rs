//! Passwords and tokens that are configured, and what is said when something is wrong with them or
//! beside them.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::process::Command;

/// A kubeconfig of one cluster and one user.
fn kubeconfig(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{{cluster}}}}}]\nusers: [{{name: u, user: {{{user}}}}}]\n"
    )
}

/// What a command says with a kubeconfig; it is expected not to run.
fn said(kubeconfig: &str, arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config"), kubeconfig).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_sluice"))
        .args(arguments)
        .args(["--kubeconfig", "config"])
        .current_dir(folder.path())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[test]
fn no_error_of_a_connection_holds_a_password() {
    let command = r#"exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, args: [-c, "echo 'token: [s3cret'"]}"#;
    let failing = r#"exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, args: [-c, "echo s3cret; echo no login >&2; exit 3"]}"#;
    let cases = [
        (
            r#"server: "http://ann:s3cret@127.0.0.1:1""#,
            "token: t",
            "the API server at http://***@127.0.0.1:1/ cannot be reached",
        ),
        (
            r#"server: "http://ann:s3cret@127.0.0.1:x""#,
            "token: t",
            "http://***@127.0.0.1:x",
        ),
        (
            r#"server: "https://127.0.0.1:1", proxy-url: "ftp://ann:s3cret@127.0.0.1:1""#,
            "token: t",
            "configured proxy ftp://***@127.0.0.1:1/ uses an unsupported protocol",
        ),
        (
            r#"server: "https://127.0.0.1:1", proxy-url: "http://ann:s3cret@127.0.0.1:1""#,
            "token: t",
            "the API server at https://127.0.0.1:1/ cannot be reached",
        ),
        (
            r#"server: "https://127.0.0.1:1""#,
            "token: [s3cret]",
            "not a kubeconfig's YAML, at line 6 column 33",
        ),
        (
            r#"server: "https://127.0.0.1:1""#,
            "token: [s3cret",
            "not a kubeconfig's YAML, at line 6 column",
        ),
        (
            r#"server: "https://127.0.0.1:1""#,
            "extensions: s3cret",
            "not a kubeconfig's YAML, at line 6 column",
        ),
        (
            r#"server: "https://127.0.0.1:1""#,
            command,
            "the kubeconfig's credential command does not answer with an ExecCredential",
        ),
        (
            r#"server: "https://127.0.0.1:1""#,
            failing,
            "the kubeconfig's credential command ended with exit status: 3: no login",
        ),
    ];
    for (cluster, user, expected) in cases {
        let text = said(&kubeconfig(cluster, user), &["get"]);
        assert!(text.contains(expected), "{cluster} {user}: {text}");
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[test]
fn a_token_that_no_header_can_have_is_an_error() {
    let server = r#"server: "http://127.0.0.1:1""#;
    let users = [
        r#"token: "s3cret\nmore""#,
        r#"token: "s3cret\u0001""#,
        r#"auth-provider: {name: oidc, config: {id-token: "s3cret\nmore"}}"#,
    ];
    for user in users {
        let text = said(&kubeconfig(server, user), &["get"]);
        assert!(
            text.contains("the user's token has a line break or another character that no HTTP header can have"),
            "{user}: {text}"
        );
        assert!(!text.contains("s3cret"), "{text}");
    }
}

#[test]
fn a_credential_command_that_says_a_token_is_run_once() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let server = r#"server: "https://127.0.0.1:1""#;
    for (expiry, expected) in [
        ("", 1),
        (r#","expirationTimestamp":"2999-01-01T00:00:00Z""#, 2),
    ] {
        let said_token = format!(
            r#"{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{{"token":"s3cret"{expiry}}}}}"#
        );
        let script = folder.path().join("login");
        let text = format!("echo run >> {}\necho '{said_token}'\n", runs.display());
        std::fs::write(&script, text).unwrap();
        let user = format!(
            "exec: {{apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, args: [{}]}}",
            script.display()
        );
        let text = said(&kubeconfig(server, &user), &["get"]);
        assert!(text.contains("cannot be reached"), "{text}");
        assert!(!text.contains("s3cret"), "{text}");
        let times = std::fs::read_to_string(&runs).unwrap().lines().count();
        assert_eq!(times, expected, "in all, {expiry:?}");
    }
}

#[test]
fn what_a_kubeconfig_names_is_read_only_where_it_ends() {
    let zero = "/dev/zero: a pipe or a device; accepted: a file";
    let cases = [
        (r#"server: "http://127.0.0.1:1""#, "tokenFile: /dev/zero"),
        (r#"server: "http://127.0.0.1:1""#, "client-key: /dev/zero"),
        (
            r#"server: "https://127.0.0.1:1", certificate-authority: /dev/zero"#,
            "token: t",
        ),
    ];
    for (cluster, user) in cases {
        let text = said(&kubeconfig(cluster, user), &["get"]);
        assert!(text.contains(zero), "{cluster} {user}: {text}");
    }
    let folder = tempfile::tempdir().unwrap();
    let long = folder.path().join("long");
    let file = std::fs::File::create(&long).unwrap();
    file.set_len(16 * 1024 * 1024 + 1).unwrap();
    let (long, zero_path) = (long.display().to_string(), "/dev/zero".to_owned());
    let pipe = "<(yes)".to_owned();
    let too_long = "more than 16777216 bytes; accepted: at most that";
    for (path, expected) in [(&long, too_long), (&zero_path, zero), (&pipe, too_long)] {
        let binary = env!("CARGO_BIN_EXE_sluice");
        let typed = [
            format!("{binary} get --kubeconfig {path}"),
            format!("KUBECONFIG={path} {binary} get"),
        ];
        for typed in typed {
            let output = Command::new("bash").args(["-c", &typed]).output().unwrap();
            let text = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{typed}: {text}");
            assert!(text.contains(expected), "{typed}: {text}");
        }
    }
}

#[test]
fn a_server_without_a_scheme_is_an_error() {
    for (server, accepted) in [
        (
            "127.0.0.1:6443",
            "the kubeconfig's server \"127.0.0.1:6443\" is no URL; accepted: one such as https://127.0.0.1:6443",
        ),
        (
            "example.com",
            "the kubeconfig's server \"example.com\" is no URL; accepted: one such as https://example.com:6443",
        ),
        (
            "ftp://h",
            "the kubeconfig's server \"ftp://h/\" is no URL; accepted: one such as https://h:6443",
        ),
    ] {
        let text = said(
            &kubeconfig(&format!("server: \"{server}\""), "token: t"),
            &["get"],
        );
        assert!(text.contains(accepted), "{text}");
    }
}

#[test]
fn no_error_of_prometheus_holds_a_password() {
    let config = kubeconfig(r#"server: "http://127.0.0.1:1""#, "token: t");
    for (url, expected) in [
        (
            "http://ann:s3/cret@host",
            "--prometheus \"http://***@host\": not a URL",
        ),
        (
            "ann:s3cret@host:9090",
            "--prometheus \"***@host:9090\": not a URL",
        ),
    ] {
        let text = said(&config, &["status", "--prometheus", url]);
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains("cret"), "{text}");
    }
}

//! How each type of the configuration is read: its fields, by name, and nothing else.

use serde_json::Value;

use super::{
    Anonymous, Cookie, Match, NamelessSource, Override, Rule, SameSite, Source, Split, StringMatch,
};
use crate::problem::Problem;
use crate::shape::{Fields, Shape, one_of};

impl Shape for Split {
    fn accepted() -> String {
        "a split".to_owned()
    }

    fn read(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let mut fields = Fields::of(path, value, problems);
        let split = Self {
            hosts: fields.take("hosts").unwrap_or_default(),
            services: fields.take("services").unwrap_or_default(),
            paths: fields.take("paths").unwrap_or_default(),
            variants: fields.take("variants"),
            header: fields.take("header"),
            salt: fields.take("salt"),
            identity: fields.take("identity").unwrap_or_default(),
            anonymous: fields.take("anonymous").unwrap_or_default(),
            inherit: fields.take("inherit").unwrap_or_default(),
            override_by: fields.take("override"),
            rules: fields.take("rules").unwrap_or_default(),
        };
        fields.end();
        Some(split)
    }
}

impl Shape for Source {
    fn accepted() -> String {
        "a source".to_owned()
    }

    fn read(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let mut fields = Fields::of(path, value, problems);
        let source = Self {
            cookie: fields.take("cookie"),
            header: fields.take("header"),
            query: fields.take("query"),
            claim: fields.take("claim"),
            source: fields.take("source"),
        };
        fields.end();
        Some(source)
    }
}

impl Shape for NamelessSource {
    fn accepted() -> String {
        "a source's name".to_owned()
    }

    fn read(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        one_of(
            path,
            value,
            &[("address", Self::Address), ("anonymous", Self::Anonymous)],
            problems,
        )
    }
}

impl Shape for Anonymous {
    fn accepted() -> String {
        "a way".to_owned()
    }

    fn read(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let names = [
            ("issueCookie", Self::IssueCookie),
            ("fallback", Self::Fallback),
            ("perRequest", Self::PerRequest),
        ];
        one_of(path, value, &names, problems)
    }
}

impl Shape for Override {
    fn accepted() -> String {
        "a map".to_owned()
    }

    fn read(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let mut fields = Fields::of(path, value, problems);
        let override_by = Self {
            header: fields.take("header"),
            cookie: fields.take("cookie"),
        };
        fields.end();
        Some(override_by)
    }
}

impl Shape for Rule {
    fn accepted() -> String {
        "a rule".to_owned()
    }

    fn read(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let mut fields = Fields::of(path, value, problems);
        let rule = Self {
            name: fields.take("name").unwrap_or_default(),
            alternatives: fields.take("match").unwrap_or_default(),
        };
        fields.end();
        Some(rule)
    }
}

impl Shape for Match {
    fn accepted() -> String {
        "an alternative".to_owned()
    }

    fn read(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let mut fields = Fields::of(path, value, problems);
        let alternative = Self {
            cookies: fields.take("cookies").unwrap_or_default(),
            headers: fields.take("headers").unwrap_or_default(),
            query: fields.take("query").unwrap_or_default(),
            claims: fields.take("claims").unwrap_or_default(),
        };
        fields.end();
        Some(alternative)
    }
}

impl Shape for StringMatch {
    fn accepted() -> String {
        "a comparison".to_owned()
    }

    fn read(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let mut fields = Fields::of(path, value, problems);
        let comparison = Self {
            exact: fields.take("exact"),
            prefix: fields.take("prefix"),
            suffix: fields.take("suffix"),
            regex: fields.take("regex"),
            one_of: fields.take("in"),
            present: fields.take("present"),
        };
        fields.end();
        Some(comparison)
    }
}

impl Shape for Cookie {
    fn accepted() -> String {
        "a cookie".to_owned()
    }

    fn read(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        let default = Self::default();
        let mut fields = Fields::of(path, value, problems);
        let cookie = Self {
            name: fields.take("name").unwrap_or(default.name),
            max_age: fields.take("maxAge").unwrap_or(default.max_age),
            same_site: fields.take("sameSite").unwrap_or(default.same_site),
            domain: fields.take("domain"),
            secure: fields.take("secure").unwrap_or(default.secure),
        };
        fields.end();
        Some(cookie)
    }
}

impl Shape for SameSite {
    fn accepted() -> String {
        "a name".to_owned()
    }

    fn read(path: &str, value: &Value, problems: &mut Vec<Problem>) -> Option<Self> {
        one_of(
            path,
            value,
            &[
                ("Lax", Self::Lax),
                ("Strict", Self::Strict),
                ("None", Self::None),
            ],
            problems,
        )
    }
}

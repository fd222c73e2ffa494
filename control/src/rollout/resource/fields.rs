//! The macros that declare what people write: a type, how it is decoded and its JSON Schema in one
//! place. They are those of the filter's configuration, with serde for what the API server keeps.

/// Declares a map with named fields. What is absent stays as in its default.
macro_rules! fields {
    (
        $(#[$attribute:meta])*
        pub struct $type:ident, accepted as $accepted:literal {
            $($(#[$field_attribute:meta])* $name:literal => $field:ident: $field_type:ty,)*
        }
    ) => {
        #[derive(Clone, Debug, PartialEq, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        $(#[$attribute])*
        pub struct $type {
            $(
                $(#[$field_attribute])*
                #[schemars(rename = $name)]
                pub $field: $field_type,
            )*
        }

        impl ::sluice_core::decode::Decode for $type {
            fn accepted() -> ::std::borrow::Cow<'static, str> {
                $accepted.into()
            }

            fn decode(
                path: &str,
                value: &::serde_json::Value,
                problems: &mut Vec<::sluice_core::problem::Problem>,
            ) -> Option<Self> {
                let mut decoded = Self::default();
                let mut fields = ::sluice_core::decode::Fields::of(path, value, problems);
                $(fields.take($name, &mut decoded.$field);)*
                fields.end();
                Some(decoded)
            }
        }
    };
}
pub(in crate::rollout) use fields;

/// Declares a type that is one of several names.
macro_rules! names {
    (
        $(#[$attribute:meta])*
        pub enum $type:ident, accepted as $accepted:literal {
            $($(#[$variant_attribute:meta])* $name:literal => $variant:ident,)*
        }
    ) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, schemars::JsonSchema, serde::Serialize, serde::Deserialize)]
        $(#[$attribute])*
        pub enum $type {
            $(
                $(#[$variant_attribute])*
                #[serde(rename = $name)]
                $variant,
            )*
        }

        impl ::sluice_core::decode::Decode for $type {
            fn accepted() -> ::std::borrow::Cow<'static, str> {
                $accepted.into()
            }

            fn decode(
                path: &str,
                value: &::serde_json::Value,
                problems: &mut Vec<::sluice_core::problem::Problem>,
            ) -> Option<Self> {
                let names = [$(($name, Self::$variant)),*];
                ::sluice_core::decode::one_of(path, value, &names, problems)
            }
        }

        impl $type {
            /// The name that people write.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}
pub(in crate::rollout) use names;

//! Where a proxy asks for brakes, as it is written; what is accepted is [`crate::plan::brake`]'s.

use crate::decode::fields;

fields! {
    /// The service that proxies ask for brakes: aborts that do not wait for istiod.
    #[derive(Default)]
    pub struct Brake, accepted as "a service to ask for brakes" {
        /// `name.namespace` of a Kubernetes service, or a whole host.
        "service" => service: String,
        /// Its port. Default: 8085.
        #[cfg_attr(feature = "schema", schemars(range(min = 1, max = 65535)))]
        "port" => port: Option<f64>,
    }
}

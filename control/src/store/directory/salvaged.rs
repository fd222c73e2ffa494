//! What an abort is decided on where files of a directory cannot be read: as much as can be had
//! elsewhere.

use serde_json::json;

use super::{Directory, Held, PLUGIN, WEIGHTS, Weights, is_of};
use crate::model::plugin::{self, Plugin, merge};
use crate::store::history::Noted;
use crate::store::{Note, Snapshot};

impl Directory {
    /// As [`Directory::read`], but of what cannot be read as much as can be had elsewhere: an abort
    /// must work then too, and take from others no more than it must.
    pub(super) fn salvage(&self) -> Held {
        let plugin = self.plugin();
        let weights = self.weights();
        let of_another = match (&plugin, &weights) {
            (
                Ok(plugin),
                Ok(Weights {
                    patch: Some(patch), ..
                }),
            ) => is_of(patch, plugin).err(),
            _ => None,
        };
        let patch = weights
            .as_ref()
            .ok()
            .and_then(|weights| weights.patch.clone());
        let mut plugin = plugin.ok().or(patch).unwrap_or_else(|| Plugin {
            source: PLUGIN.to_owned(),
            kind: plugin::Kind::Bare,
            name: None,
            namespace: None,
            config: json!({}),
        });
        match (weights, of_another) {
            (Ok(weights), of_another) => {
                merge(&mut plugin.config, weights.managed().to_config());
                let salvaged = of_another.map(|why| Note::Salvaged {
                    why: format!("{why:#}"),
                    instead: "its weights are taken for this plugin's".to_owned(),
                });
                Held {
                    salvaged,
                    ..self.held(plugin, weights)
                }
            }
            (Err(why), _) => self.of_history(plugin, &why),
        }
    }

    /// What the history knows where the weights' file cannot be read.
    fn of_history(&self, mut plugin: Plugin, why: &anyhow::Error) -> Held {
        let last = self.entries().unwrap_or_default().pop();
        let instead = match &last {
            Some(entry) => format!(
                "other splits get the weights of the last change in the history, {}",
                Noted::of(entry)
            ),
            None => "there is no history either: other splits get no weights".to_owned(),
        };
        let managed = last.map(|entry| entry.after).unwrap_or_default();
        let patch = managed.to_config();
        merge(&mut plugin.config, patch.clone());
        Held {
            snapshot: Snapshot {
                live: None,
                plugin,
                managed,
                noted: self.noted(),
                authors: Vec::new(),
            },
            patch,
            expected: self.bytes(WEIGHTS).ok(),
            salvaged: Some(Note::Salvaged {
                why: format!("{why:#}"),
                instead,
            }),
        }
    }
}

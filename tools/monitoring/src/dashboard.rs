//! A dashboard: its variables, and its panels in rows from left to right.
//!
//! Each has a fixed identity, so that an import replaces the one before it, and takes whichever
//! Prometheus a person chooses. What its panels show is [`crate::dashboards`]'s.

use serde_json::{Value, json};

use crate::panel::Panel;

/// The version of Grafana's own schema that the dashboards are written in: that of Grafana 12.
const SCHEMA_VERSION: u32 = 41;

/// How wide a row of the grid is.
const WIDTH: u32 = 24;

/// Something that a person chooses.
#[derive(Clone, Debug)]
pub enum Variable {
    /// The values of a label.
    Label {
        /// What queries call it.
        name: &'static str,
        /// What people read.
        label: &'static str,
        /// The label.
        of: &'static str,
        /// Of these series.
        series: String,
        /// Whether several may be chosen, or all.
        is_multi: bool,
    },
    /// A text.
    Text {
        /// What queries call it.
        name: &'static str,
        /// What people read.
        label: &'static str,
        /// What it is until somebody writes another one.
        value: &'static str,
    },
}

impl Variable {
    /// What queries call it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Label { name, .. } | Self::Text { name, .. } => name,
        }
    }

    fn json(&self) -> Value {
        match self {
            Self::Label {
                name,
                label,
                of,
                series,
                is_multi,
            } => {
                let query = format!("label_values({series}, {of})");
                let mut variable = json!({
                    "type": "query", "name": name, "label": label,
                    "query": {"query": query, "refId": "Variable"},
                    "datasource": {"type": "prometheus", "uid": "${datasource}"},
                    "refresh": 2, "sort": 1, "multi": is_multi, "includeAll": is_multi,
                    "hide": 0, "regex": "", "options": [], "skipUrlSync": false,
                });
                if *is_multi {
                    variable["current"] = json!({"text": ["All"], "value": ["$__all"]});
                }
                variable
            }
            Self::Text { name, label, value } => json!({
                "type": "textbox", "name": name, "label": label, "query": value, "hide": 0,
                "current": {"text": value, "value": value}, "skipUrlSync": false,
                "options": [{"text": value, "value": value, "selected": true}],
            }),
        }
    }
}

/// A dashboard.
#[derive(Clone, Debug)]
pub struct Dashboard {
    /// The name of its file.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// What a person chooses, beside the Prometheus.
    pub variables: Vec<Variable>,
    /// What it shows.
    pub panels: Vec<Panel>,
}

impl Dashboard {
    /// As Grafana reads it.
    pub fn json(&self) -> Value {
        let mut variables = vec![json!({
            "type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus",
            "hide": 0, "refresh": 1, "regex": "", "multi": false, "includeAll": false, "options": [],
            "skipUrlSync": false,
        })];
        variables.extend(self.variables.iter().map(Variable::json));
        json!({
            "uid": format!("sluice-{}", self.name), "title": format!("Sluice / {}", self.title),
            "description": self.description, "tags": ["sluice"], "schemaVersion": SCHEMA_VERSION,
            "version": 1, "editable": true, "graphTooltip": 1, "timezone": "browser",
            "refresh": "30s", "time": {"from": "now-1h", "to": "now"}, "timepicker": {},
            "fiscalYearStartMonth": 0, "liveNow": false, "weekStart": "",
            "annotations": {"list": []}, "templating": {"list": variables},
            "links": [{
                "title": "Sluice", "type": "dashboards", "tags": ["sluice"], "asDropdown": true,
                "includeVars": true, "keepTime": true, "targetBlank": false, "icon": "external \
                 link",
                "tooltip": "", "url": "",
            }],
            "panels": self.placed(),
        })
    }

    fn placed(&self) -> Vec<Value> {
        let (mut x, mut y, mut tallest) = (0, 0, 0);
        let mut placed = Vec::with_capacity(self.panels.len());
        for (index, panel) in self.panels.iter().enumerate() {
            if x + panel.width > WIDTH {
                (x, y, tallest) = (0, y + tallest, 0);
            }
            placed.push(panel.json(index + 1, (x, y)));
            x += panel.width;
            tallest = tallest.max(panel.height());
        }
        placed
    }
}

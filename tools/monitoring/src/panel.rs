//! One panel of a dashboard: what it asks Prometheus, and how Grafana draws it.
//!
//! Only types that Grafana has now, with the options that differ from their defaults. Where a panel
//! lies is the dashboard's.

use serde_json::{Value, json};

/// How a panel is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Lines over time.
    Lines,
    /// One big number each.
    Stat,
    /// Bars, for parts of a whole that is reached at the right end.
    Bars,
    /// A row for each series.
    Table,
    /// What is so, over time.
    States,
    /// Buckets of a histogram over time.
    Heatmap,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Lines => "timeseries",
            Self::Stat => "stat",
            Self::Bars => "bargauge",
            Self::Table => "table",
            Self::States => "state-timeline",
            Self::Heatmap => "heatmap",
        }
    }

    /// Whether it shows what is so now, and not how it came to that.
    const fn is_instant(self) -> bool {
        matches!(self, Self::Stat | Self::Bars | Self::Table)
    }
}

/// A query, and what its series are called.
#[derive(Clone, Debug)]
pub struct Query {
    /// In PromQL, with Grafana's variables.
    pub expression: String,
    /// With labels in double braces.
    pub legend: &'static str,
}

/// A panel.
#[derive(Clone, Debug)]
pub struct Panel {
    /// What it shows.
    pub title: &'static str,
    /// What a person should do about it.
    pub description: &'static str,
    /// How it is drawn.
    pub kind: Kind,
    /// Grafana's name of the unit.
    pub unit: &'static str,
    /// What it asks.
    pub queries: Vec<Query>,
    /// In 24ths of the width.
    pub width: u32,
    /// From here on a value is bad.
    pub bad_from: Option<f64>,
    /// The least and the greatest value of its axis.
    pub range: Option<(f64, f64)>,
}

impl Panel {
    /// A panel of a third of the width without queries.
    pub fn new(kind: Kind, title: &'static str, unit: &'static str) -> Self {
        Self {
            title,
            description: "",
            kind,
            unit,
            queries: Vec::new(),
            width: 8,
            bad_from: None,
            range: None,
        }
    }

    /// With what a person should do about it.
    #[must_use]
    pub fn says(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// With one query more.
    #[must_use]
    pub fn asks(mut self, legend: &'static str, expression: impl Into<String>) -> Self {
        self.queries.push(Query {
            expression: expression.into(),
            legend,
        });
        self
    }

    /// As wide as so many 24ths.
    #[must_use]
    pub fn wide(mut self, width: u32) -> Self {
        self.width = width;
        self
    }

    /// Red from a value on.
    #[must_use]
    pub fn bad_from(mut self, value: f64) -> Self {
        self.bad_from = Some(value);
        self
    }

    /// With the ends of its axis.
    #[must_use]
    pub fn between(mut self, least: f64, greatest: f64) -> Self {
        self.range = Some((least, greatest));
        self
    }

    /// As Grafana reads it, with its number and its place.
    pub fn json(&self, id: usize, (x, y): (u32, u32)) -> Value {
        let targets = self.queries.iter().enumerate();
        let targets: Vec<Value> = targets.map(|(at, query)| self.target(at, query)).collect();
        let mut panel = json!({
            "id": id, "type": self.kind.name(), "title": self.title, "description": self.description,
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "gridPos": {"h": self.height(), "w": self.width, "x": x, "y": y},
            "targets": targets,
            "fieldConfig": {"defaults": self.defaults(), "overrides": []},
            "options": self.options(),
        });
        if self.kind == Kind::Table {
            panel["transformations"] = json!([
                {"id": "merge", "options": {}},
                {"id": "organize", "options": {"excludeByName": {"Time": true}}},
            ]);
        }
        panel
    }

    /// In rows of the grid.
    pub const fn height(&self) -> u32 {
        match self.kind {
            Kind::Stat => 4,
            _ => 8,
        }
    }

    fn target(&self, at: usize, query: &Query) -> Value {
        let letter = char::from(b'A'.saturating_add(u8::try_from(at).unwrap_or(25)));
        let format = match self.kind {
            Kind::Table => "table",
            Kind::Heatmap => "heatmap",
            _ => "time_series",
        };
        let is_instant = self.kind.is_instant();
        json!({
            "refId": letter.to_string(), "expr": query.expression, "legendFormat": query.legend,
            "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "editorMode": "code", "format": format, "instant": is_instant, "range": !is_instant,
        })
    }

    fn defaults(&self) -> Value {
        let mut steps = vec![json!({"color": "green", "value": null})];
        if let Some(bad) = self.bad_from {
            steps.push(json!({"color": "red", "value": bad}));
        }
        let mut defaults = json!({
            "unit": self.unit, "color": {"mode": "palette-classic"},
            "thresholds": {"mode": "absolute", "steps": steps},
        });
        if self.kind == Kind::Lines {
            let style = if self.bad_from.is_some() {
                "line"
            } else {
                "off"
            };
            defaults["custom"] = json!({
                "fillOpacity": 10, "lineWidth": 1, "showPoints": "never",
                "thresholdsStyle": {"mode": style},
            });
        }
        if matches!(self.kind, Kind::Stat | Kind::Bars) {
            defaults["color"] = json!({"mode": "thresholds"});
        }
        if let Some((least, greatest)) = self.range {
            defaults["min"] = json!(least);
            defaults["max"] = json!(greatest);
        }
        defaults
    }

    fn options(&self) -> Value {
        let last = json!({"calcs": ["lastNotNull"], "fields": "", "values": false});
        match self.kind {
            Kind::Lines => json!({
                "legend": {
                    "displayMode": "table", "placement": "bottom", "showLegend": true,
                    "calcs": ["lastNotNull"],
                },
                "tooltip": {"mode": "multi", "sort": "desc"},
            }),
            Kind::Stat => json!({
                "reduceOptions": last, "colorMode": "value", "graphMode": "none",
                "justifyMode": "auto", "orientation": "auto", "textMode": "auto",
            }),
            Kind::Bars => json!({
                "reduceOptions": last, "displayMode": "basic", "orientation": "horizontal",
                "showUnfilled": true, "valueMode": "color",
            }),
            Kind::Table => json!({"showHeader": true, "cellHeight": "sm"}),
            Kind::States => json!({
                "showValue": "never", "mergeValues": true, "rowHeight": 0.8,
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": false},
                "tooltip": {"mode": "single", "sort": "none"},
            }),
            Kind::Heatmap => json!({
                "calculate": false, "yAxis": {"unit": self.unit}, "cellGap": 1,
                "color": {"mode": "scheme", "scheme": "Blues", "steps": 32, "exponent": 0.5,
                    "fill": "blue", "reverse": true},
                "legend": {"show": true}, "showValue": "never",
                "tooltip": {"mode": "single", "showColorScale": true, "yHistogram": false},
                "filterValues": {"le": 1e-9}, "exemplars": {"color": "red"},
            }),
        }
    }
}

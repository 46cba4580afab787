//! Curves of faithfulness, as `edgegrad evaluate --curve` writes them into its report.
//!
//! ```text
//! {"metric": "kl",
//!  "curve": {"abs": {"fraction": [0.001, ..], "edges": [32, ..], "faithfulness": [0.1, ..]},
//!            "signed": {..}},
//!  "cmd": 0.1, "cpr": 0.9, "anchored": {"cmd": 0.1, "cpr": 0.9, "clipped_cpr": 0.9}, ..}
//! ```

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::origin::Origin;
use crate::error::{Error, Result, at_key};
use crate::files::json;

const HELP: &str = "give what `edgegrad evaluate --scores S.json --curve --out FILE.json` wrote";

/// The faithfulness `f` of circuits of increasing size.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
pub struct Curve {
    /// `[n]`, the requested fractions of all edges.
    pub fraction: Vec<f64>,
    /// `[n]`, the edges of each circuit, after pruning.
    pub edges: Vec<usize>,
    /// `[n]`, `f` of each circuit; NaN is written `null`.
    #[serde(deserialize_with = "json::nans_for_nulls")]
    pub faithfulness: Vec<f64>,
}

/// The curves of one file of scores.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    /// What they are of.
    pub origin: Origin,
    /// Edges by falling |score|.
    pub by_size: Curve,
    /// Edges by falling score.
    pub by_score: Option<Curve>,
}

impl Curve {
    /// The area under `height(f)`, by the trapezoid rule.
    fn area(&self, height: impl Fn(f64) -> f64) -> f64 {
        let points: Vec<(f64, f64)> =
            self.fraction.iter().zip(&self.faithfulness).map(|(&k, &f)| (k, height(f))).collect();
        points.windows(2).map(|w| (w[1].0 - w[0].0) * (w[0].1 + w[1].1) / 2.0).sum()
    }

    /// The area between 0 and the first fraction, where `f` rises from 0.
    fn start(&self, height: impl Fn(f64) -> f64) -> f64 {
        match (self.fraction.first(), self.faithfulness.first()) {
            (Some(&k), Some(&f)) => k * (height(0.0) + height(f)) / 2.0,
            _ => 0.0,
        }
    }

    /// MIB's CPR, if the curve has edges of large score first.
    pub fn cpr(&self) -> f64 {
        self.area(|f| f)
    }

    /// MIB's CMD, if the curve has edges of large `|score|` first.
    pub fn cmd(&self) -> f64 {
        self.area(|f| (1.0 - f).abs())
    }

    /// [`cpr`](Self::cpr) from 0 on.
    pub fn anchored_cpr(&self) -> f64 {
        self.start(|f| f) + self.cpr()
    }

    /// [`cmd`](Self::cmd) from 0 on.
    pub fn anchored_cmd(&self) -> f64 {
        let gap = |f: f64| (1.0 - f).abs();
        self.start(gap) + self.cmd()
    }

    /// [`anchored_cpr`](Self::anchored_cpr) with `f` clipped to [0, 1]: at most 1, even if a
    /// circuit does more than the model.
    pub fn clipped_cpr(&self) -> f64 {
        let clipped = |f: f64| f.clamp(0.0, 1.0);
        self.start(clipped) + self.area(clipped)
    }
}

impl Curves {
    /// Adds the curves and their areas to a report.
    pub fn put(&self, report: &mut Map<String, Value>) {
        self.origin.put(report);
        let mut put = |key: &str, value: Value| report.insert(key.into(), value);
        let abs = &self.by_size;
        put("cmd", abs.cmd().into());
        let mut curve = json!({ "abs": abs });
        let mut anchored = json!({ "cmd": abs.anchored_cmd() });
        if let Some(signed) = &self.by_score {
            curve["signed"] = json!(signed);
            put("cpr", signed.cpr().into());
            anchored["cpr"] = signed.anchored_cpr().into();
            anchored["clipped_cpr"] = signed.clipped_cpr().into();
        }
        put("curve", curve);
        put("anchored", anchored);
    }

    /// The curves in `value`, the content of `file`; none if it has none.
    ///
    /// # Errors
    /// When it has, but not in the right form; the error names the key.
    pub fn of(file: &Path, value: &Value) -> Result<Option<Curves>> {
        let Some(both) = value.get("curve") else { return Ok(None) };
        let curve = |key: &str| -> Result<Option<Curve>> {
            let Some(value) = both.get(key) else { return Ok(None) };
            let place = at_key(file, format_args!("curve.{key}"));
            let curve = Curve::deserialize(value).map_err(|e| Error::input(&place, e, HELP))?;
            let all @ [e, f, y] =
                [curve.edges.len(), curve.fraction.len(), curve.faithfulness.len()];
            if all != [y.max(1); 3] {
                let problem = format!("has {e} sizes, {f} fractions, {y} values of faithfulness");
                return Err(Error::input(place, problem, HELP));
            }
            Ok(Some(curve))
        };
        let missing = || Error::input(at_key(file, "curve.abs"), "is missing", HELP);
        Ok(Some(Curves {
            origin: value.as_object().map(Origin::of).unwrap_or_default(),
            by_size: curve("abs")?.ok_or_else(missing)?,
            by_score: curve("signed")?,
        }))
    }

    /// Reads the curves of a file.
    ///
    /// # Errors
    /// When it cannot be read, or has none.
    pub fn read(file: &Path) -> Result<Curves> {
        let missing = || Error::input(at_key(file, "curve"), "is missing", HELP);
        Curves::of(file, &json::read(file, HELP)?)?.ok_or_else(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_by_hand() {
        let curve = Curve {
            fraction: vec![0.2, 0.5, 1.0],
            edges: vec![1, 2, 3],
            faithfulness: vec![-1.0, 3.0, 1.0],
        };
        // 0.3 * 1 + 0.5 * 2, and from 0: 0.2 * -0.5.
        assert!((curve.cpr() - 1.3).abs() < 1e-15);
        assert!((curve.anchored_cpr() - 1.2).abs() < 1e-15);
        // |1 - f| is 2, 2, 0: 0.3 * 2 + 0.5 * 1, and from 0, where it is 1: 0.2 * 1.5.
        assert!((curve.cmd() - 1.1).abs() < 1e-15);
        assert!((curve.anchored_cmd() - 1.4).abs() < 1e-15);
        // 0, 0, 1, 1: 0.3 * 0.5 + 0.5.
        assert!((curve.clipped_cpr() - 0.65).abs() < 1e-15);
    }
}

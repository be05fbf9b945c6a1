//! Models of loss as files name them: with their numbers, or by the name of a preset.

use serde::Deserialize;

use super::LossModel;

/// What a file may say.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum InFile {
    Bernoulli { p: f64 },
    Gilbert { to_bad: f64, to_good: f64, good: f64, bad: f64 },
    Correlated { p: f64, correlation: f64 },
    Preset(Preset),
}

/// A model that is known by name.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Preset(LossModel);

impl TryFrom<String> for Preset {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        LossModel::preset(&name).map(Preset).ok_or_else(|| {
            let known = LossModel::PRESETS.map(|(name, _)| name).join(", ");
            format!("no preset is named '{name}'; there are {known}")
        })
    }
}

impl From<InFile> for LossModel {
    fn from(in_file: InFile) -> Self {
        match in_file {
            InFile::Bernoulli { p } => LossModel::Bernoulli { p },
            InFile::Gilbert { to_bad, to_good, good, bad } => {
                LossModel::Gilbert { to_bad, to_good, good, bad }
            }
            InFile::Correlated { p, correlation } => LossModel::Correlated { p, correlation },
            InFile::Preset(Preset(model)) => model,
        }
    }
}

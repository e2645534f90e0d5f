//! Where settings come from: a flag, else a variable, else a key of the file, else the default.

use std::fmt;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command};

use super::Settings;

/// Everything that is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
#[error("the configuration cannot be used:\n  {}", .0.join("\n  "))]
pub(crate) struct ConfigError(Vec<String>);

/// A setting as it is in effect.
#[derive(Debug, Clone)]
pub(crate) struct Effective {
    key: &'static str,
    value: Option<String>,
    from: String,
    /// It is not to be shown.
    is_secret: bool,
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            key,
            value,
            from,
            is_secret,
        } = self;
        match value {
            Some(_) if *is_secret => write!(f, "# {key} is set  # {from}"),
            None => write!(f, "# {key} is not set"),
            Some(bare) if bare.parse::<i64>().is_ok() || bare.parse::<bool>().is_ok() => {
                write!(f, "{key} = {bare}  # {from}")
            }
            Some(text) => write!(f, "{key} = {}  # {from}", toml::Value::from(text.as_str())),
        }
    }
}

/// A value as it was given, and the name under which it was.
struct Given {
    text: String,
    name: String,
}

/// The sources of one start, with what was found wrong so far.
pub(super) struct Sources<'a> {
    matches: &'a ArgMatches,
    declared: Command,
    file: toml::Table,
    path: String,
    problems: Vec<String>,
    effective: Vec<Effective>,
}

impl<'a> Sources<'a> {
    /// Reads the file, if one is named.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, or has a key that does not exist.
    pub(super) fn open(matches: &'a ArgMatches) -> Result<Self, ConfigError> {
        let declared = Settings::augment_args(Command::new("settings"));
        let empty = Self {
            matches,
            declared,
            file: toml::Table::new(),
            path: String::new(),
            problems: Vec::new(),
            effective: Vec::new(),
        };
        let Some(Given { text: path, name }) = empty.on_the_line("config") else {
            return Ok(empty);
        };
        let error = |what: String| ConfigError(vec![format!("{name} names {path}: {what}")]);
        let text = std::fs::read_to_string(Path::new(&path)).map_err(|cause| error(cause.to_string()))?;
        let file: toml::Table = toml::from_str(&text).map_err(|cause| error(cause.to_string()))?;
        let mut sources = Self { file, path, ..empty };
        sources.refuse_unknown_keys();
        Ok(sources)
    }

    fn refuse_unknown_keys(&mut self) {
        let known: Vec<String> = self
            .declared
            .get_arguments()
            .map(|arg| arg.get_id().to_string())
            .filter(|id| id != "config")
            .collect();
        for key in self.file.keys().filter(|key| !known.contains(key)) {
            self.problems.push(format!(
                "{}: the key {key:?} does not exist; there are {}",
                self.path,
                known.join(", ")
            ));
        }
    }

    /// Something that is wrong with several settings together.
    pub(super) fn refuse(&mut self, problem: String) {
        self.problems.push(problem);
    }

    /// A setting that need not be there, and that nobody is shown.
    pub(super) fn read_secret<T>(
        &mut self,
        key: &'static str,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let problems = self.problems.len();
        let value = self.read_optional(key, allowed, parse);
        if let Some(setting) = self.effective.last_mut()
            && setting.value.is_some()
        {
            setting.is_secret = true;
            if self.problems.len() > problems {
                self.problems[problems] = format!("{} must be {allowed}", setting.from);
            }
        }
        value
    }

    /// A setting, or its default. A wrong value is kept for [`Sources::finish`].
    pub(super) fn read<T>(
        &mut self,
        key: &'static str,
        default: &str,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> T {
        self.read_optional(key, allowed, &parse).unwrap_or_else(|| {
            if let Some(setting) = self.effective.last_mut() {
                setting.value = Some(default.to_owned());
            }
            parse(default).expect("every default is allowed")
        })
    }

    /// A setting that need not be there.
    pub(super) fn read_optional<T>(
        &mut self,
        key: &'static str,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let mut setting = Effective {
            key,
            value: None,
            from: "default".to_owned(),
            is_secret: false,
        };
        let mut value = None;
        if let Some(Given { text, name }) = self.on_the_line(key).or_else(|| self.in_the_file(key)) {
            value = parse(&text);
            if value.is_none() {
                self.problems
                    .push(format!("{name} is {text:?}; it must be {allowed}"));
            }
            setting.value = Some(text);
            setting.from = name;
        }
        self.effective.push(setting);
        value
    }

    /// The value of a flag or variable. Clap has already preferred the flag.
    fn on_the_line(&self, id: &str) -> Option<Given> {
        let text = self.matches.get_one::<String>(id)?.clone();
        let argument = self
            .declared
            .get_arguments()
            .find(|argument| argument.get_id() == id)?;
        let variable = argument.get_env().unwrap_or_default().to_string_lossy();
        match self.matches.value_source(id)? {
            ValueSource::EnvVariable if text.is_empty() => None,
            ValueSource::EnvVariable => Some(Given {
                text,
                name: variable.into_owned(),
            }),
            _ => Some(Given {
                text,
                name: format!("--{}", argument.get_long().unwrap_or(id)),
            }),
        }
    }

    fn in_the_file(&self, key: &str) -> Option<Given> {
        let text = match self.file.get(key)? {
            toml::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some(Given {
            text,
            name: format!("{key} in {}", self.path),
        })
    }

    /// What is in effect.
    ///
    /// # Errors
    /// When anything was wrong.
    pub(super) fn finish(self) -> Result<Vec<Effective>, ConfigError> {
        if self.problems.is_empty() {
            Ok(self.effective)
        } else {
            Err(ConfigError(self.problems))
        }
    }
}

//! What a command says of itself.

use super::{Command, EnvChange};
use std::collections::{BTreeMap, btree_map};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;
use std::slice;

/// The arguments of a command without argument 0: [`Command::get_args`].
#[derive(Clone, Debug)]
pub struct CommandArgs<'a>(slice::Iter<'a, OsString>);

impl<'a> Iterator for CommandArgs<'a> {
    type Item = &'a OsStr;

    fn next(&mut self) -> Option<&'a OsStr> {
        self.0.next().map(OsString::as_os_str)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for CommandArgs<'_> {}

/// The changes that a command makes to the environment: [`Command::get_envs`].
#[derive(Debug)]
pub struct CommandEnvs<'a>(btree_map::IntoIter<&'a OsStr, Option<&'a OsStr>>);

impl<'a> Iterator for CommandEnvs<'a> {
    type Item = (&'a OsStr, Option<&'a OsStr>);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for CommandEnvs<'_> {}

impl Command {
    /// The program.
    pub fn get_program(&self) -> &OsStr {
        &self.program
    }

    /// The arguments without argument 0.
    pub fn get_args(&self) -> CommandArgs<'_> {
        CommandArgs(self.argv().get(1..).unwrap_or_default().iter())
    }

    /// Argument 0 and the arguments.
    pub fn argv(&self) -> &[OsString] {
        self.argv.as_deref().unwrap_or(slice::from_ref(&self.program))
    }

    /// The working directory asked for.
    pub fn get_current_dir(&self) -> Option<&Path> {
        self.current_dir.as_deref()
    }

    /// The changes made to the environment, in the order of their names: a value, or `None` for one that is removed.
    pub fn get_envs(&self) -> CommandEnvs<'_> {
        let mut changes = BTreeMap::new();
        for change in &self.env {
            match change {
                EnvChange::Set(key, value) => changes.insert(key.as_os_str(), Some(value.as_os_str())),
                // In an empty environment there is nothing to remove but an earlier setting.
                EnvChange::Remove(key) if self.env_clear => changes.remove(key.as_os_str()),
                EnvChange::Remove(key) => changes.insert(key.as_os_str(), None),
            };
        }
        CommandEnvs(changes.into_iter())
    }

    /// Every field that threads may look at.
    fn fields(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command")
            .field("program", &self.program)
            .field("argv", &self.argv)
            .field("env_clear", &self.env_clear)
            .field("env", &self.env)
            .field("current_dir", &self.current_dir)
            .field("stdio", &self.stdio)
            .field("start", &self.start)
            .finish_non_exhaustive()
    }

    /// What `env` of the shell needs to make the environment.
    fn environment(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let removed: Vec<_> = self.get_envs().filter(|(_, value)| value.is_none()).collect();
        if self.env_clear {
            f.write_str("env -i ")?;
        } else if !removed.is_empty() {
            f.write_str("env ")?;
        }
        for (key, _) in removed {
            write!(f, "-u {} ", key.display())?;
        }
        for (key, value) in self.get_envs() {
            if let Some(value) = value {
                write!(f, "{}={value:?} ", key.display())?;
            }
        }
        Ok(())
    }
}

/// `{:?}` is the line that one would type, as the standard library has it: `cd "/" && KEY="value" "program" "argument"`, an argument 0 of its own after
/// the program in brackets. `{:#?}` has every field but how the run is bounded and what is kept of it.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return self.fields(f);
        }
        if let Some(folder) = &self.current_dir {
            write!(f, "cd {folder:?} && ")?;
        }
        self.environment(f)?;
        if self.argv().first() != Some(&self.program) {
            write!(f, "[{:?}] ", self.program)?;
        }
        for (at, argument) in self.argv().iter().enumerate() {
            write!(f, "{}{argument:?}", if at == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

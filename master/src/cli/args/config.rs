//! The verbs about process files: `validate`, `init`, `import`, `plan`.

use std::path::PathBuf;

use clap::Args;

/// What `validate` was given.
#[derive(Clone, Debug, Args)]
pub struct ValidateArgs {
    /// A process file [default: ostler.toml, .yaml, .yml or .json]
    pub file: Option<PathBuf>,

    /// As it is for this environment
    #[arg(long, value_name = "NAME")]
    pub env: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What `init` was given.
#[derive(Clone, Debug, Args)]
pub struct InitArgs {
    /// The project's directory [default: this one]
    #[arg(
        value_name = "DIRECTORY",
        default_value = ".",
        hide_default_value = true
    )]
    pub directory: PathBuf,
}

/// What `import` was given.
#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// A PM2 ecosystem file (.json, .yaml, .yml, .js, .cjs) or a Procfile
    pub file: PathBuf,
}

/// What `plan` was given.
#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    /// As the file is for this environment [default: the one it was last read for]
    #[arg(long, value_name = "NAME")]
    pub env: Option<String>,

    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

//! Checks the completions and the manual pages.

use std::fs;
use std::process::Command;

use super::Trial;
use crate::failure::Failure;
use crate::process;

/// The path for each shell, below `/usr/local` and, in a package, below `/usr`.
const SHELLS: [(&str, &str, &str); 3] = [
    ("bash", "share/bash-completion/completions/buildcache", "share/bash-completion/completions/buildcache"),
    ("fish", "share/fish/vendor_completions.d/buildcache.fish", "share/fish/vendor_completions.d/buildcache.fish"),
    ("zsh", "share/zsh/site-functions/_buildcache", "share/zsh/vendor-completions/_buildcache"),
];

/// The files are equal to what the program prints, and bash completes with its file in the root.
pub(super) fn completions(trial: &Trial<'_>) -> Result<String, Failure> {
    for (shell, archive, package) in SHELLS {
        let file = trial.read(if trial.prefix == "/usr" { package } else { archive })?;
        if file != trial.buildcache(&["completions", shell], 0)? {
            return Err(Failure::new(format!("the file for {shell} is not what the program prints")));
        }
    }
    if trial.root.is_foreign() || !trial.root.install("bash")? {
        return Ok("for bash, fish, zsh".to_owned());
    }
    let script = format!(
        "source {}/{}; COMP_WORDS=(buildcache ver); COMP_CWORD=1; _buildcache_specs buildcache ver; echo ${{COMPREPLY[@]}}",
        trial.prefix, SHELLS[0].1
    );
    let offered = trial.program("bash", &["--norc", "-c", &script], 0)?;
    match offered.trim() {
        "verify" => Ok("for bash, fish, zsh; bash completes `ver` to `verify`".to_owned()),
        _ => Err(Failure::new(format!("bash offers {offered:?} for `ver`"))),
    }
}

/// Every verb has a page with its exit codes, which groff reads without a warning.
pub(super) fn manual(trial: &Trial<'_>) -> Result<String, Failure> {
    let help = trial.buildcache(&["--help"], 0)?;
    let verbs = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let verbs = verbs.filter_map(|line| line.split_whitespace().next()).filter(|verb| *verb != "help");
    let mut pages = vec!["buildcache".to_owned()];
    pages.extend(verbs.map(|verb| format!("buildcache-{verb}")));
    let groff = process::find("groff", process::search_path());
    for page in &pages {
        let path = trial.root.path(&format!("{}/share/man/man1/{page}.1", trial.prefix));
        let packed = path.with_extension("1.gz");
        if packed.is_file() {
            process::output(Command::new("gzip").arg("-d").arg(&packed))?;
        }
        let text = fs::read_to_string(&path).map_err(|error| Failure::io("read", &path, &error))?;
        if !text.contains("EXIT STATUS") {
            return Err(Failure::new(format!("{page} does not say how it ends")));
        }
        if let Some(groff) = &groff {
            let mut command = Command::new(groff);
            let output = command.args(["-man", "-Kutf8", "-Tutf8", "-ww"]).arg(&path).output();
            let output = output.map_err(|error| Failure::new(format!("cannot start groff: {error}")))?;
            if !output.status.success() || !output.stderr.is_empty() {
                return Err(Failure::new(format!("{page}: groff says {}", String::from_utf8_lossy(&output.stderr))));
            }
        }
    }
    let read = if groff.is_some() { ", groff reads them without a warning" } else { "" };
    Ok(format!("{} pages{read}", pages.len()))
}

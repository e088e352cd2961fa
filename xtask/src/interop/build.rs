//! A small build without base image.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Failure;
use crate::process;

/// Writes its second argument to the file that its first argument names.
const PROGRAM: &str = r#"#include <stdio.h>
int main(int argc, char **argv) {
  FILE *file = argc == 3 ? fopen(argv[1], "w") : NULL;
  return file == NULL || fputs(argv[2], file) < 0 || fclose(file) != 0;
}
"#;

/// Every step writes a file that is named after it, by which its layer is found.
const DOCKERFILE: &str = r#"FROM scratch AS first
COPY write /write
RUN ["/write", "/one", "1"]
FROM scratch
COPY write /write
RUN ["/write", "/two", "2"]
COPY --from=first /one /one
"#;

/// A build that shares its first steps with [`DOCKERFILE`].
const SIBLING: &str = r#"FROM scratch AS first
COPY write /write
RUN ["/write", "/one", "1"]
FROM scratch
COPY write /write
RUN ["/write", "/three", "3"]
COPY --from=first /one /uno
"#;

/// The file that describes [`SIBLING`] in the context.
pub(super) const SIBLING_FILE: &str = "Dockerfile.sibling";

/// Writes the context of the build and compiles the program that its steps run; returns the path of the context.
pub(super) fn prepare(directory: &Path) -> Result<PathBuf, Failure> {
    let context = directory.join("context");
    fs::create_dir(&context).map_err(|error| Failure::io("create", &context, &error))?;
    let program = directory.join("write.c");
    let (dockerfile, sibling) = (context.join("Dockerfile"), context.join(SIBLING_FILE));
    for (path, text) in [(&program, PROGRAM), (&dockerfile, DOCKERFILE), (&sibling, SIBLING)] {
        fs::write(path, text).map_err(|error| Failure::io("write", path, &error))?;
    }
    process::run(Command::new("gcc").arg("-static").arg("-o").arg(context.join("write")).arg(&program))?;
    Ok(context)
}

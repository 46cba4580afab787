//! What a cluster's scheduler is given to do the shards of a sweep.

use std::path::Path;

/// The schedulers there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Scheduler {
    /// An array script for sbatch.
    Slurm,
    /// An indexed Job for kubectl, on a volume that is claimed as `sweep`.
    K8s,
}

/// The script or manifest of `shards` shards, each on so many threads. A shard that is started
/// again goes on where it was.
pub(super) fn script(
    scheduler: Scheduler,
    (sweep, out): (&Path, &Path),
    shards: usize,
    threads: usize,
) -> String {
    let stem = sweep.file_stem().unwrap_or_default().to_string_lossy().to_lowercase();
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = stem.chars().map(plain).take(50).collect();
    let name = format!("sweep-{}", name.trim_matches('-'));
    let (sweep, out) = (quoted(sweep), quoted(out));
    let command = |shard: &str, threads: &str| {
        format!(
            "exec edgegrad sweep {sweep} --out {out} --shard \"{shard}/{shards}\" \
             --threads {threads} --resume"
        )
    };
    match scheduler {
        Scheduler::Slurm => format!(
            "#!/bin/bash\n\
             # Start with sbatch; afterwards: edgegrad merge {out}\n\
             #SBATCH --job-name={name}\n\
             #SBATCH --array=1-{shards}\n\
             #SBATCH --cpus-per-task={threads}\n\
             #SBATCH --output={name}-%A-%a.log\n\
             {}\n",
            command("$SLURM_ARRAY_TASK_ID", "\"$SLURM_CPUS_PER_TASK\"")
        ),
        Scheduler::K8s => {
            let command = command("$((JOB_COMPLETION_INDEX + 1))", &threads.to_string());
            let command = serde_json::Value::from(command);
            format!(
                "\
# Start with kubectl apply -f; afterwards: edgegrad merge {out}
apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
spec:
  completionMode: Indexed
  completions: {shards}
  parallelism: {shards}
  backoffLimitPerIndex: 3
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: sweep
          # An image with edgegrad on its path.
          image: edgegrad
          workingDir: /sweep
          command: [\"/bin/sh\", \"-c\", {command}]
          resources:
            requests:
              cpu: \"{threads}\"
          volumeMounts:
            - name: sweep
              mountPath: /sweep
      volumes:
        - name: sweep
          persistentVolumeClaim:
            claimName: sweep
"
            )
        }
    }
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.into_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_counted_from_one_and_names_are_quoted() {
        let of =
            |scheduler| script(scheduler, (Path::new("a/My sweep's.toml"), Path::new("out")), 4, 2);
        let slurm = of(Scheduler::Slurm);
        let command = "exec edgegrad sweep 'a/My sweep'\\''s.toml' --out out \
                       --shard \"$SLURM_ARRAY_TASK_ID/4\" --threads \"$SLURM_CPUS_PER_TASK\" --resume\n";
        assert!(slurm.ends_with(command), "{slurm}");
        assert!(slurm.contains("\n#SBATCH --array=1-4\n#SBATCH --cpus-per-task=2\n"), "{slurm}");
        let k8s = of(Scheduler::K8s);
        assert!(k8s.contains("name: sweep-my-sweep-s\n"), "{k8s}");
        assert!(
            k8s.contains("--shard \\\"$((JOB_COMPLETION_INDEX + 1))/4\\\" --threads 2"),
            "{k8s}"
        );
    }
}

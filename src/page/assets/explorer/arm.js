// One arm of the explorer: the frames of a run that has weights, the task at each, and what the
// model makes of the task's samples there.

import { pooledForward, pooledTables, pooledWeights } from "../model.js";
import { atOrBefore } from "../numbers.js";
import { arms } from "../runs.js";
import { makeSamples } from "./samples.js";

const explorerTasks = new Map();
function samplesOf(task) {
  const name = [task.p, task.k, task.length].join();
  if (!explorerTasks.has(name)) explorerTasks.set(name, makeSamples(task));
  return explorerTasks.get(name);
}

function makeView(run, frame, task) {
  const weights = pooledWeights(run, frame),
    tables = pooledTables(weights);
  const pass = pooledForward(weights, tables, task.tokens, task.n, task.length);
  return { frame, task, weights, tables, ...pass, finite: pass.logits.every(Number.isFinite) };
}

export function explorerArm(a, run) {
  const { steps: frames, tensors } = run.weights;
  const [V] = tensors["token_emb.weight"].shape,
    [positions] = tensors["pos_emb.weight"].shape;
  const views = new Map();

  function stageAt(frame) {
    return run.stages.filter((stage) => stage.step <= frames[frame]).pop() ?? run.stages[0] ?? {};
  }
  function taskAt(frame) {
    const stage = stageAt(frame),
      length = Math.min(stage.seq_len || positions, positions);
    const k = Math.min(stage.k || run.k || length, length);
    return samplesOf({ p: Math.min(Math.max(stage.p || run.p || V, 2), V), k, length });
  }
  // Of the samples of one frame's task under the weights of another: what moves is the model.
  function view(frame, task = taskAt(frame)) {
    const name = frame + ":" + [task.p, task.k, task.length];
    const found = views.get(name) ?? makeView(run, frame, task);
    views.delete(name);
    views.set(name, found);
    if (views.size > 64) views.delete(views.keys().next().value);
    return found;
  }
  // The last frame whose numbers are numbers: a diverged run ends in none.
  function lastView() {
    for (let frame = frames.length - 1; frame > 0; frame--) {
      if (view(frame).finite) return view(frame);
    }
    return view(0);
  }
  /// Frames all over the run and where tasks change, for axes that hold for all of it.
  function someViews(count) {
    const n = Math.min(count, frames.length);
    const chosen = Array.from({ length: n }, (_, i) =>
      Math.round((i * (frames.length - 1)) / Math.max(1, n - 1)),
    );
    const changes = frames.flatMap((_, i) =>
      i > 0 && stageAt(i) !== stageAt(i - 1) ? [i - 1, i] : [],
    );
    const all = new Set([...chosen, ...changes.slice(0, count)]);
    return [...all].map((frame) => view(frame)).filter((one) => one.finite);
  }
  /// Spikes after the previous frame, up to this one.
  function spikesAt(frame) {
    return (run.spikes ?? []).filter(
      (step) => step <= frames[frame] && (frame === 0 || step > frames[frame - 1]),
    );
  }
  const most = Math.max(...frames.map((_, frame) => taskAt(frame).n));
  const frameAt = (step) => atOrBefore(frames, step ?? frames[frames.length - 1]);
  const known = { a, run, name: arms[a].name, frames, V, positions, most };
  return { ...known, stageAt, taskAt, view, lastView, someViews, spikesAt, frameAt };
}

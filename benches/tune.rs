//! Steps of tuning: everything, the circuit of a quarter of the blocks' numbers (found once, and
//! again every 8 updates), half of the layers, and adapters; a small decoder with random weights,
//! 64 sentences at a time, one thread. A figure is that of 8 updates.

use criterion::{Criterion, criterion_group, criterion_main};
use edgegrad::experiments::pretrain::Pretraining;
use edgegrad::experiments::tune::{LanguageTask, Material, Settings};
use edgegrad::graph::{Granularity, Graph};
use edgegrad::nn::stream::Sum;
use edgegrad::nn::transformer::Model;
use edgegrad::tuning::lora::{Adapted, Adapters, Kind, Site};
use edgegrad::tuning::{
    Circuit, Finder, Fixed, Leaving, Objective, Policy, Select, Slices, Task, Tuner,
};

const UPDATES: usize = 8;

fn tune(c: &mut Criterion) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    let config = Pretraining::default().config().expect("a shape");
    let model = Model::<f32>::random(&config, 0);
    let settings =
        Settings { steps: UPDATES, select: Select::Share, edges: 0.25, ..Settings::default() };
    let task = LanguageTask::new(&settings, &config, 0);
    let record = |stream: &mut Sum| {
        let mut o = Objective::record(&config, task.rows(), task.length(), 0, stream);
        o.set_weights(&model.weights);
        Tuner::new(o, vec![], settings.rule(), Leaving::Forget)
    };
    let circuit = |every, layers| -> Box<dyn Policy<f32> + Send + '_> {
        let graph = Graph::of_transformer(&config, Granularity::default());
        let discovery = Settings { layers, ..settings.clone() }.discovery(0);
        let finder =
            Finder::new(&config, graph, discovery, settings.extras(), 0).expect("a finder");
        let extras = settings.extras();
        Box::new(Circuit {
            config: &config,
            finder,
            every,
            extras,
            control: None,
            moved: None,
            found: None,
        })
    };

    let mut group = c.benchmark_group("tune, 8 updates");
    group.sample_size(20);
    let mut bench =
        |name: &str, mut tuner: Tuner<f32>, mut policy: Box<dyn Policy<f32> + Send + '_>| {
            // Whatever is found once is found here.
            policy.before(0, &mut tuner, &task).expect("a circuit");
            group.bench_function(name, |b| {
                pool.install(|| {
                    b.iter(|| {
                        for step in 0..UPDATES {
                            policy.before(step, &mut tuner, &task).expect("a circuit");
                            tuner.step(&task.batch(step), 1e-5, Some(1.0));
                        }
                    });
                });
            });
        };
    let full = Fixed(Slices::named(&config, |_| true));
    bench("everything", record(&mut Sum::default()), Box::new(full));
    bench("a quarter, once", record(&mut Sum::default()), circuit(Some(usize::MAX), None));
    bench("a quarter, found every 8", record(&mut Sum::default()), circuit(Some(8), None));
    let upper = Some([2, 4]);
    bench("layers 2 and 3, found every 8", record(&mut Sum::default()), circuit(Some(8), upper));

    let sites: Vec<(Site, usize)> = Site::all(&config).into_iter().map(|s| (s, 8)).collect();
    let adapters = Adapters::new(&config, &sites, Kind::Plain, 16.0, 0).expect("adapters");
    let mut adapted = Adapted::new(&adapters);
    let mut o = Objective::record(&config, task.rows(), task.length(), 0, &mut adapted);
    o.set_weights(&model.weights);
    adapted.set(&mut o.program, &adapters);
    let leaves = adapted.parameters();
    let (first, count) = (config.parameters().len(), leaves.len());
    let tuner = Tuner::new(o, leaves, settings.rule(), Leaving::Forget);
    let slices = Slices::whole(tuner.shapes(), first..first + count);
    bench("adapters of rank 8", tuner, Box::new(Fixed(slices)));
    group.finish();
}

criterion_group!(benches, tune);
criterion_main!(benches);

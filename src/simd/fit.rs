//! The constants of [`super::math`]: polynomial fits and the layout of the floating-point formats.

use super::Element;

/// Constants of one floating-point format. The polynomials come from `benches/fit/fit.py`, which
/// says what each approximates; their errors are relative to the result.
pub(super) trait Fit: Element {
    /// 1.5 * 2^mantissa_bits: adding it rounds to a whole number.
    const SHIFT: Self;
    /// 2^mantissa_bits: values from there on are whole, and their low bits count.
    const UNIT: Self;
    /// What is added to the exponent before it is stored.
    const BIAS: Self;
    /// The bits of the mantissa.
    const MANTISSA: Self;
    /// The smallest normal value.
    const MIN_NORMAL: Self;
    /// The largest finite value.
    const MAX: Self;
    /// A power of two whose product with any subnormal value is normal.
    const LIFT: Self;
    /// Its exponent.
    const LIFT_EXPONENT: Self;

    /// ln(2) with enough zero bits at the end that its product with any exponent is exact.
    const LN2_HIGH: Self;
    /// ln(2) minus that.
    const LN2_LOW: Self;
    /// Below it e^x is 0.
    const EXP_LOW: Self;
    /// Above it e^x is infinite.
    const EXP_HIGH: Self;
    /// From here on tanh is 1.
    const TANH_END: Self;
    /// From here on erf is 1.
    const ERFC_END: Self;
    /// The `k` of [`super::math::normal`].
    const NORMAL_K: Self;

    /// See `benches/fit/fit.py`.
    const EXP: &'static [Self];
    /// See `benches/fit/fit.py`.
    const LN: &'static [Self];
    /// See `benches/fit/fit.py`.
    const ERF: &'static [Self];
    /// See `benches/fit/fit.py`.
    const ERFC: &'static [Self];
    /// See `benches/fit/fit.py`.
    const NORMAL: &'static [Self];
}

impl Fit for f32 {
    const SHIFT: f32 = 12_582_912.0;
    const UNIT: f32 = 8_388_608.0;
    const BIAS: f32 = 127.0;
    const MANTISSA: f32 = f32::from_bits(0x007f_ffff);
    const MIN_NORMAL: f32 = f32::MIN_POSITIVE;
    const MAX: f32 = f32::MAX;
    const LIFT: f32 = 16_777_216.0;
    const LIFT_EXPONENT: f32 = 24.0;
    const LN2_HIGH: f32 = 0.693_145_75;
    const LN2_LOW: f32 = 1.428_606_8e-6;
    const EXP_LOW: f32 = -104.0;
    const EXP_HIGH: f32 = 89.0;
    const TANH_END: f32 = 10.0;
    const ERFC_END: f32 = 4.0;
    const NORMAL_K: f32 = 3.5;

    // (e^r - 1 - r) / r^2, |r| <= ln(2)/2; error 3.1e-9
    const EXP: &'static [f32] = &[0.49999994, 0.16666521, 0.041668374, 0.008368647, 0.0013814976];
    // (2 atanh(s)/s - 2) / s^2 in s^2, sqrt(1/2) <= m <= sqrt(2); error 9.2e-10
    const LN: &'static [f32] = &[0.66666764, 0.39978644, 0.29846627];
    // erf(x)/x - 1 in x^2, |x| <= 1; error 1.2e-9
    const ERF: &'static [f32] = &[
        0.12837917,
        -0.37612626,
        0.112836,
        -0.026854444,
        0.0051895357,
        -0.00080208434,
        7.889126e-05,
    ];
    // -ln(erfc(y)) in y - 2.5, 1 <= y <= 4.0; error 1.0e-9
    const ERFC: &'static [f32] =
        &[7.806818, 5.352694, 0.9438854, 0.010717801, -0.0024577496, 0.00015601791, -0.00018557004];
    // (a + k) F(-a) e^(a^2/2) in (a - k) / (a + k), 0 <= a <= 14.5; error 7.2e-9
    const NORMAL: &'static [f32] = &[
        0.74441606,
        -0.5655618,
        0.31542504,
        -0.11605304,
        0.017406378,
        0.006493115,
        -0.0031753113,
        -0.00049494265,
        0.00042189908,
        0.00011068976,
    ];
}

impl Fit for f64 {
    const SHIFT: f64 = 6_755_399_441_055_744.0;
    const UNIT: f64 = 4_503_599_627_370_496.0;
    const BIAS: f64 = 1023.0;
    const MANTISSA: f64 = f64::from_bits(0x000f_ffff_ffff_ffff);
    const MIN_NORMAL: f64 = f64::MIN_POSITIVE;
    const MAX: f64 = f64::MAX;
    const LIFT: f64 = 18_014_398_509_481_984.0;
    const LIFT_EXPONENT: f64 = 54.0;
    const LN2_HIGH: f64 = 0.693_147_180_559_890_3;
    const LN2_LOW: f64 = 5.497_923_018_708_371e-14;
    const EXP_LOW: f64 = -746.0;
    const EXP_HIGH: f64 = 710.0;
    const TANH_END: f64 = 22.0;
    const ERFC_END: f64 = 6.0;
    const NORMAL_K: f64 = 5.0;

    // (e^r - 1 - r) / r^2, |r| <= ln(2)/2; error 3.8e-18
    const EXP: &'static [f64] = &[
        0.500000000000001,
        0.16666666666666416,
        0.04166666666653545,
        0.008333333333493379,
        0.0013888888942420192,
        0.0001984126950649581,
        2.480149422022594e-05,
        2.755758799081493e-06,
        2.762988413106087e-07,
        2.4999184608051694e-08,
    ];
    // (2 atanh(s)/s - 2) / s^2 in s^2, sqrt(1/2) <= m <= sqrt(2); error 1.6e-18
    const LN: &'static [f64] = &[
        0.6666666666666698,
        0.3999999999961415,
        0.2857142870323383,
        0.22222202215791031,
        0.18183389670358674,
        0.15318224105798098,
        0.14756590286165566,
    ];
    // erf(x)/x - 1 in x^2, |x| <= 1; error 2.1e-21
    const ERF: &'static [f64] = &[
        0.1283791670955126,
        -0.37612638903183754,
        0.1128379167095512,
        -0.026866170645129868,
        0.005223977625423608,
        -0.0008548327021955889,
        0.00012055332903807323,
        -1.492564759435984e-05,
        1.6462045978081536e-06,
        -1.6364649520930388e-07,
        1.4792469390176625e-08,
        -1.2164967250417868e-09,
        8.710461061181896e-11,
        -4.233123616589197e-12,
    ];
    // -ln(erfc(y)) in y - 2.5, 1 <= y <= 6.0; error 6.6e-18
    const ERFC: &'static [f64] = &[
        7.806815272727254,
        5.352680750986495,
        0.9438937335256321,
        0.010858072740402522,
        -0.0021654769155676555,
        0.000420932516559475,
        -7.703078626137675e-05,
        1.2756012266561539e-05,
        -1.7688609417276885e-06,
        1.5577288220596416e-07,
        1.2327560462408307e-08,
        -1.0909113535053962e-08,
        3.7158340085782852e-09,
        -7.733486587262033e-10,
        1.0829703833360193e-10,
        -5.602442081855518e-11,
        4.7292047326876486e-12,
        4.8645525923434185e-12,
    ];
    // (a + k) F(-a) e^(a^2/2) in (a - k) / (a + k), 0 <= a <= 39; error 1.3e-17
    const NORMAL: &'static [f64] = &[
        0.769193049750063,
        -0.6653825028900566,
        0.495305615969977,
        -0.31353315667131576,
        0.16502036617036148,
        -0.06911863870595192,
        0.020795066800243317,
        -0.002993376775696505,
        -0.000797869401486447,
        0.0005448991058703206,
        -5.937571125880075e-05,
        -4.9763010238185026e-05,
        1.6681144793847314e-05,
        3.981491225623967e-06,
        -2.769055183669919e-06,
        -3.377431085432229e-07,
        4.326864712889878e-07,
        4.3612345501489656e-08,
        -6.531990178122381e-08,
        -1.0210928353644003e-08,
        7.182002637040769e-09,
        2.0139361886234436e-09,
    ];
}

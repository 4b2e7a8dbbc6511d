/// Defines functions that run compiled for the best instructions that an `Arch`, their first argument, stands for.
///
/// Closures given to `Arch::dispatch` would do the same with fewer lines, but are called through shims that the compiler
/// need not inline; what is not inlined is compiled without those instructions.
macro_rules! vector_fns {
    ($($(#[$doc:meta])* $vis:vis fn $name:ident<'a>($($arg:ident: $type:ty),+ $(,)?) $body:block)+) => {$(
        $(#[$doc])*
        $vis fn $name<'a>(arch: pulp::Arch, $($arg: $type),+) {
            struct Call<'a> {
                $($arg: $type),+
            }
            impl pulp::WithSimd for Call<'_> {
                type Output = ();

                #[inline(always)]
                fn with_simd<S: pulp::Simd>(self, _: S) {
                    let Self { $($arg),+ } = self;
                    $body
                }
            }
            arch.dispatch(Call { $($arg),+ });
        }
    )+};
}

pub(super) use vector_fns;

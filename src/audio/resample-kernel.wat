;; Inner loop of the resampler: one dot product of `taps` float32 values per output sample.
;; Four accumulators hide the latency of the additions; taps is a multiple of 16.
;; The order of additions is fixed, so a sample does not depend on where a block begins.
(module
  (memory (export "memory") 1)
  (func (export "resample")
    (param $input i32)         ;; byte offset of the first sample under the filter
    (param $table i32)         ;; byte offset of the filter table, [phases][taps] float32
    (param $output i32)        ;; byte offset of the first output sample
    (param $count i32)         ;; output samples to compute, at least 1
    (param $taps i32)
    (param $phases i32)
    (param $phase i32)         ;; phase of the first output sample
    (param $step_samples i32)  ;; whole input samples between outputs
    (param $step_phases i32)   ;; and the phases beyond them
    (local $x i32) (local $c i32) (local $end i32)
    (local $a v128) (local $b v128) (local $d v128) (local $e v128)
    (loop $outputs
      (local.set $x (local.get $input))
      (local.set $c (i32.add (local.get $table)
        (i32.shl (i32.mul (local.get $phase) (local.get $taps)) (i32.const 2))))
      (local.set $end (i32.add (local.get $c) (i32.shl (local.get $taps) (i32.const 2))))
      (local.set $a (v128.const f32x4 0 0 0 0))
      (local.set $b (v128.const f32x4 0 0 0 0))
      (local.set $d (v128.const f32x4 0 0 0 0))
      (local.set $e (v128.const f32x4 0 0 0 0))
      (loop $products
        (local.set $a (f32x4.add (local.get $a)
          (f32x4.mul (v128.load (local.get $x)) (v128.load (local.get $c)))))
        (local.set $b (f32x4.add (local.get $b)
          (f32x4.mul (v128.load offset=16 (local.get $x)) (v128.load offset=16 (local.get $c)))))
        (local.set $d (f32x4.add (local.get $d)
          (f32x4.mul (v128.load offset=32 (local.get $x)) (v128.load offset=32 (local.get $c)))))
        (local.set $e (f32x4.add (local.get $e)
          (f32x4.mul (v128.load offset=48 (local.get $x)) (v128.load offset=48 (local.get $c)))))
        (local.set $x (i32.add (local.get $x) (i32.const 64)))
        (local.set $c (i32.add (local.get $c) (i32.const 64)))
        (br_if $products (i32.lt_u (local.get $c) (local.get $end))))
      (local.set $a (f32x4.add
        (f32x4.add (local.get $a) (local.get $b))
        (f32x4.add (local.get $d) (local.get $e))))
      (f32.store (local.get $output) (f32.add
        (f32.add (f32x4.extract_lane 0 (local.get $a)) (f32x4.extract_lane 1 (local.get $a)))
        (f32.add (f32x4.extract_lane 2 (local.get $a)) (f32x4.extract_lane 3 (local.get $a)))))
      (local.set $output (i32.add (local.get $output) (i32.const 4)))
      (local.set $input (i32.add (local.get $input)
        (i32.shl (local.get $step_samples) (i32.const 2))))
      (local.set $phase (i32.add (local.get $phase) (local.get $step_phases)))
      (if (i32.ge_u (local.get $phase) (local.get $phases))
        (then
          (local.set $phase (i32.sub (local.get $phase) (local.get $phases)))
          (local.set $input (i32.add (local.get $input) (i32.const 4)))))
      (local.set $count (i32.sub (local.get $count) (i32.const 1)))
      (br_if $outputs (local.get $count)))))

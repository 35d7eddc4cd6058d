"""The optimizer of a network."""

import keras
import tensorflow as tf


class Adam(keras.optimizers.Adam):
    """Keras's Adam through TensorFlow's fused kernel: one pass over a variable a step, where Keras makes some fifteen.

    Variables, checkpoints, schedules and results are those of `keras.optimizers.Adam`, to rounding.
    """

    def update_step(
        self, gradient: tf.Tensor, variable: tf.Variable | keras.Variable, learning_rate: tf.Tensor
    ) -> None:
        """Update a variable by its gradient (Keras calls this for each variable, and on each device)."""
        if self.amsgrad or isinstance(gradient, tf.IndexedSlices):  # what the kernel cannot do
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        variable = variable.value if isinstance(variable, keras.Variable) else variable
        dtype = variable.dtype
        step = tf.cast(self.iterations.value + 1, dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.cast(self.beta_1, dtype) ** step,
            beta2_power=tf.cast(self.beta_2, dtype) ** step,
            lr=tf.cast(learning_rate, dtype),
            beta1=tf.cast(self.beta_1, dtype),
            beta2=tf.cast(self.beta_2, dtype),
            epsilon=tf.cast(self.epsilon, dtype),
            grad=tf.cast(gradient, dtype),
        )


class LossScaleOptimizer(keras.optimizers.LossScaleOptimizer):
    """Keras's loss scaling, also on several devices, where gradients overflow on some of them.

    Keras asks the first device alone, or each one for itself; then the gradients that are not finite are applied, or
    the devices wait for each other forever.
    """

    def check_finite(self, grads: list[tf.Tensor]) -> tf.Tensor:
        """Tell whether the gradients of all devices are finite: a scalar of bool."""
        finite = super().check_finite(grads)
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return finite
        n_finite = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.cast(finite, tf.float32))
        return n_finite >= context.num_replicas_in_sync


def make_optimizer(
    learning_rate: float, network: keras.Model, precision: str, decay_steps: int | None = None
) -> keras.optimizers.Optimizer:
    """Make Adam with the paper's momentum of 0.5 (Isola et al. 2017, section 3.3); in float16 with loss scaling.

    Args:
        learning_rate: the initial rate.
        network: the model to optimize.
        precision: precision of the networks.
        decay_steps: steps after which the rate is 0, by half a cosine (Loshchilov and Hutter 2017, eq. 5, without
            restarts); None for a constant rate.

    Returns:
        The optimizer, built for the network's trainable variables.
    """
    if decay_steps:
        learning_rate = keras.optimizers.schedules.CosineDecay(learning_rate, decay_steps)
    optimizer = Adam(learning_rate, beta_1=0.5)
    if precision == "mixed_float16":
        optimizer = LossScaleOptimizer(optimizer)
    optimizer.build(network.trainable_variables)
    return optimizer

use std::marker::PhantomData;

use bevy::render::render_resource::{Buffer, BufferDescriptor, BufferUsages};
use bevy::render::renderer::{RenderDevice, RenderQueue};
use bytemuck::Pod;

/// A storage buffer of `T` that doubles when its content does not fit.
pub struct Storage<T> {
    pub buffer: Buffer,
    label: &'static str,
    capacity: usize,
    content: PhantomData<T>,
}

impl<T: Pod> Storage<T> {
    pub fn new(device: &RenderDevice, label: &'static str, capacity: usize) -> Self {
        let buffer = device.create_buffer(&BufferDescriptor {
            label: Some(label),
            size: (capacity * size_of::<T>()) as u64,
            // Vertices of triangles are the one content that shaders don't look up.
            usage: BufferUsages::STORAGE | BufferUsages::INDEX | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Self { buffer, label, capacity, content: PhantomData }
    }

    /// Makes room for `count`; whether that took a new buffer, which must be bound again.
    pub fn reserve(&mut self, device: &RenderDevice, count: usize) -> bool {
        let grows = count > self.capacity;
        if grows {
            *self = Self::new(device, self.label, count.next_power_of_two());
        }
        grows
    }

    /// Writes `values` from position `first` on.
    pub fn write_at(&self, queue: &RenderQueue, first: usize, values: &[T]) {
        queue.write_buffer(&self.buffer, (first * size_of::<T>()) as u64, bytemuck::cast_slice(values));
    }

    /// Writes `parts`, one after the other.
    pub fn write(&self, queue: &RenderQueue, parts: &[Vec<T>]) {
        let mut offset = 0;
        for part in parts.iter().filter(|part| !part.is_empty()) {
            queue.write_buffer(&self.buffer, offset, bytemuck::cast_slice(part));
            offset += size_of_val(part.as_slice()) as u64;
        }
    }
}

//! What is done with most children, by functions that know their hub and take numbers and text: objects would cost more than the whole way to the core.

use crate::children::Children;
use crate::error::{Failure, guard};
use crate::incoming::Channels;
use crate::options::{SpawnRequest, Text};
use crate::text::short_text_at;
use napi::Env;
use napi::bindgen_prelude::{Either, FunctionCallContext, Object};
use std::rc::Rc;

/// Starts children of one environment.
pub(crate) struct Starter {
    pub(crate) children: Rc<Children>,
    pub(crate) channels: Rc<Channels>,
}

impl Starter {
    /// Starts a child here and now, holds the loop for it and gives its process id. Arguments: its number, a byte for each of descriptors 0 to 2
    /// (`lib/stdio.js`), its arguments joined by NUL, its whole environment likewise, the program where that is not argument 0, and everything that is
    /// seldom asked for. Those after the arguments may be absent.
    fn start(&self, call: &FunctionCallContext<'_>) -> napi::Result<Either<u32, Failure>> {
        let id: u32 = call.get(0)?;
        let request = SpawnRequest { argv: text(call, 2)?, stdio: call.get(1)?, env: later(call, 3)?, file: later(call, 4)?, extra: later(call, 5)? };
        // One that is started where the end of another is told may need its descriptor.
        self.children.let_go();
        Ok(guard(|| {
            let (child, channel) = request.start_with_channel()?;
            let pid = child.id();
            self.children.add(id, child)?;
            if let Some((number, channel)) = channel {
                self.channels.put(number, channel);
            }
            Ok(pid)
        }))
    }

    /// Adds the functions. `readAhead(id, fd)` reads an output until it is taken or discarded; `collect(id, fd, limit)` until its end or until there is
    /// more than the limit, both of which are told by a notice; `discard(id, fd)` throws away what is left of one and gives true when that ends later,
    /// with a notice.
    pub(crate) fn quick(self, env: &Env, calls: &mut Object<'_>) -> napi::Result<()> {
        let children = self.children.clone();
        let ahead = move |call: FunctionCallContext<'_>| -> napi::Result<Either<bool, Failure>> {
            let (id, fd) = (call.get(0)?, call.get(1)?);
            Ok(guard(|| children.read(id, fd, None)))
        };
        calls.set("readAhead", env.create_function_from_closure::<(), _, _>("readAhead", ahead)?)?;
        let children = self.children.clone();
        let collect = move |call: FunctionCallContext<'_>| -> napi::Result<Either<bool, Failure>> {
            let (id, fd, limit) = (call.get(0)?, call.get(1)?, call.get::<f64>(2)?);
            Ok(guard(|| children.read(id, fd, Some(limit as usize))))
        };
        calls.set("collect", env.create_function_from_closure::<(), _, _>("collect", collect)?)?;
        let children = self.children.clone();
        let discard = move |call: FunctionCallContext<'_>| -> napi::Result<Either<bool, Failure>> {
            let (id, fd) = (call.get(0)?, call.get(1)?);
            Ok(guard(|| children.discard(id, fd)))
        };
        calls.set("discard", env.create_function_from_closure::<(), _, _>("discard", discard)?)?;
        calls.set("start", env.create_function_from_closure::<(), _, _>("start", move |call| self.start(&call))?)
    }
}

/// Most texts are short strings, which are taken in one step.
fn text(call: &FunctionCallContext<'_>, index: usize) -> napi::Result<Text> {
    short_text_at(call, index).map_or_else(|| call.get(index), |text| Ok(Text::A(text)))
}

fn later<T: napi::bindgen_prelude::FromNapiValue>(call: &FunctionCallContext<'_>, index: usize) -> napi::Result<Option<T>> {
    if index < call.length() { call.get(index) } else { Ok(None) }
}

// SPDX-License-Identifier: Apache-2.0
//
// rusty.rs - a Rust program with an inlined function, for test_symbolize.c; prints what places.h describes
//
// Context: program of test_symbolize.c

use std::arch::asm;

extern "C" {
    static __executable_start: u8;
}

fn say(at: usize, line: u32, name: &str) {
    let start = std::ptr::addr_of!(__executable_start) as usize;
    println!("{:#x} {} {}", at - start, line, name);
}

mod shop {
    use super::*;

    pub struct Server;

    impl Server {
        #[inline(always)]
        pub fn lookup(&self) {
            let (at, line): (usize, u32);
            unsafe { asm!("lea {}, [rip]", out(reg) at); line = line!(); }
            say(at, line, "rusty::shop::Server::lookup");
        }

        #[inline(never)]
        pub fn handle(&self) {
            println!("call:lookup {}", line!() + 1);
            self.lookup();
        }
    }
}

#[inline(never)]
fn plain() {
    let (at, line): (usize, u32);
    unsafe { asm!("lea {}, [rip]", out(reg) at); line = line!(); }
    say(at, line, "rusty::plain");
}

fn main() {
    shop::Server.handle();
    plain();
}

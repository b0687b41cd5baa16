import Testing

/// Ways into a kernel, each to a line that a program in the guest prints.
extension WholeGuestTests {
    @Suite struct BootPathTests {
        /// What the kernel believes that loaded it. Source: Linux, Documentation/arch/x86/boot.rst, type_of_loader;
        /// arch/x86/platform/pvh/enlighten.c.
        private enum Loader {
            /// A loader without a number of its own, by the 64-bit protocol.
            static let linux64 = "255"
            /// Given by the kernel's PVH entry to itself.
            static let pvh = "176"
        }

        private func loader(_ plan: GuestPlan) throws -> String {
            let guest = try TestGuest(plan)
            let type = try guest.shell("cat /proc/sys/kernel/bootloader_type")
            let ending = try guest.powerOff()
            #expect(ending == "exit status 0")
            return type
        }

        @Test(arguments: ["swiftlet", "debian-cloud"])
        func `a kernel is entered by the 64-bit protocol unless the configuration says otherwise`(
            kernel: String
        ) throws {
            #expect(try loader(GuestPlan(kernel: kernel)) == Loader.linux64)
        }

        @Test(arguments: ["swiftlet", "debian-cloud"])
        func `a kernel is entered by the PVH note when the configuration says so`(kernel: String) throws {
            var plan = GuestPlan(kernel: kernel)
            plan.bootProtocol = "pvh"
            #expect(try loader(plan) == Loader.pvh)
        }

        @Test func `a bzImage is entered at its 64-bit entry and decompresses itself`() throws {
            var plan = GuestPlan(kernel: "debian-cloud")
            plan.kernelPath = Lab.partsFolder + "/vmlinuz"
            #expect(try loader(plan) == Loader.linux64)
        }
    }
}

import MachineConfiguration
import Testing

@Suite struct NamedTemplateTests {
    /// What a register is where the processor has everything.
    private func shown(_ template: ProcessorTemplate, _ leaf: UInt32, _ subleaf: UInt32, _ register: Int) -> UInt64 {
        var value: UInt64 = 0xffff_ffff
        for change in template.leaves
        where change.number == leaf && change.subleaf == subleaf && change.register == register {
            value = change.bits.applied(to: value)
        }
        return value
    }

    @Test(arguments: ["T2", "T2S", "T2CL", "T2A", "C3"])
    func `each register is there once, with values that are masked`(name: String) throws {
        let template = try #require(ProcessorTemplate(named: name))
        #expect(template.leaves.count == (name == "C3" ? 10 : 11))
        var seen: Set<[UInt32]> = []
        for change in template.leaves + template.modelRegisters {
            #expect(seen.insert([change.number, change.subleaf, UInt32(change.register)]).inserted)
            #expect(change.bits.value & ~change.bits.mask == 0)
        }
        #expect(template.capabilities == [])
        #expect(template.modelRegisters.count == (name == "T2S" || name == "T2CL" ? 1 : 0))
    }

    @Test func `a processor with everything looks like that of a c3 large`() throws {
        let template = try #require(ProcessorTemplate(named: "C3"))
        // As `cpuid -1 -r` told them in such an instance; what it has, the template leaves, and the reverse.
        let instance: [(UInt32, UInt32, Int, UInt64)] = [
            (1, 0, 2, 0xffba_2203), (1, 0, 3, 0x178b_fbff), (7, 0, 1, 0x281), (7, 0, 2, 0), (7, 0, 3, 0),
            (0xd, 0, 0, 7), (0xd, 1, 0, 1), (0x8000_0001, 0, 2, 1), (0x8000_0001, 0, 3, 0x2810_0800),
        ]
        for (leaf, subleaf, register, value) in instance {
            #expect(value & ~shown(template, leaf, subleaf, register) == 0, "leaf \(leaf)")
        }
        #expect(shown(template, 1, 0, 0) & 0x0fff_3fff == 0x306e4)
    }

    @Test func `guests on Intel and on AMD are told the same of what both can do`() throws {
        let (intel, amd) = (ProcessorTemplate(named: "T2CL"), ProcessorTemplate(named: "T2A"))
        for leaf in try #require(intel).leaves where leaf.number != 0x8000_0008 {
            #expect(amd?.leaves.contains(leaf) == true)
        }
    }

    @Test func `other names are none`() {
        for name in ["", "None", "t2", "T2X", "V1N1"] { #expect(ProcessorTemplate(named: name) == nil) }
    }

    @Test func `each is for some processors`() {
        let (skylake, cascadeLake, iceLake, milan): (UInt32, UInt32, UInt32, UInt32) = (
            0x50654, 0x50657, 0x606a6, 0xa00f11
        )
        let models: [(String, [UInt32])] = [
            ("C3", [skylake, cascadeLake, iceLake]), ("T2", [skylake, cascadeLake, iceLake]),
            ("T2S", [skylake, cascadeLake]), ("T2CL", [cascadeLake, iceLake]), ("T2A", [milan]),
        ]
        for (name, taken) in models {
            for model in [skylake, cascadeLake, iceLake, milan, 0x306f2, 0] {
                #expect(ProcessorTemplate.isMade(name, forModel: model) == taken.contains(model), "\(name) \(model)")
            }
            #expect(ProcessorTemplate.isMade(name, forAMD: true) == (name == "T2A"))
            #expect(ProcessorTemplate.isMade(name, forAMD: false) == (name != "T2A"))
        }
    }
}

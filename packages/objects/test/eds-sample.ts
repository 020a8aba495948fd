/** An EDS of a device that does not exist, made for these tests: every kind of field and section stands in it once. */
export const sample = `$ Electronic Data Sheet of a device that does not exist

[File]
        DescText = "Valve " "block, "
                   "8 coils";                  $ three texts are one
        CreateDate = 02-29-2024;
        CreateTime = 08:15:00;
        ModDate = 6-1-99;
        ModTime = 23:59:59;
        Revision = 1.10;
        HomeURL = "https://example.org/eds?a=1;b=2$c";
        EDSFileCRC = 0xDEADBEEF;

[Device]
        VendCode = 65520;
        VendName = "Example \\"Works\\"";
        ProdType = 0x2B;
        ProdTypeStr = "Generic Device";
        ProdCode = 0b1000_0001;
        MajRev = 2;
        MinRev = 5;
        ProdName = "Valve block";
        Catalog = "VB\\\\8";
        Icon = "valve.ico";
        IconContents =
                "AAABAAEAICAQ"
                "AAAAAAD+AgAA";

[Device Classification]
        Class1 = EtherNetIP;
        Class2 = 65520_Valves, 65520_Blocks;

[ParamClass]
        MaxInst = 5;
        Descriptor = 0x0009;
        CfgAssembly = 103;

[Params]
        Param1 =
                0,                      $ reserved
                ,,                      $ link path size, link path
                0x0000,                 $ descriptor
                0xC8,                   $ data type
                4,                      $ data size
                "RPI",                  $ name
                "us",                   $ units
                "Interval of packets",  $ help
                2000,1000000,10000,     $ minimum, maximum, default
                ,,,,                    $ scaling
                ,,,,                    $ links
                ;                       $ decimals
        Param2 =
                0,
                6,"20 64 24 01 30 05",
                0x0002,
                0xC6,
                1,
                "Reaction",
                "",
                "What coils do when the connection is lost",
                0,2,1,
                ,,,,
                ,,,,
                0;
        Enum2 =
                0,"off",
                1,"keep",
                2,"as configured";
        Param3 =
                0,6,"20 64 24 01 30 06",0x0014,0xC3,2,
                "Pressure","mbar","Scaled",
                -1000,+1000,250,
                1,10,1,-5,
                0,0,0,0,
                1,
                {1, "deu", 0xD0, 4, "Druck"},,;
        Param4 =
                0,,,0,0xC6,1,"Output point","","",150,160,150,,,,,,,,,;
        Param5 =
                0,,,0,0xC9,8,"Counter","","",0,18446744073709551615,9007199254740993,,,,,,,,,;

[Groups]
        Group1 = "Coils", 2, 2, 3;

[Assembly]
        Object_Name = "Assembly Object";
        Object_Class_Code = 0x04;
        Revision = 2;
        Assem100 =
                "Inputs",
                "20 04 24 64 30 03",
                4,
                0x0001,
                ,,
                8,Param2,
                ,Param3,                $ 16 bits, as the parameter says
                5,,                     $ padding
                1,7;                    $ a constant
        Assem150 = "Outputs",,2,0,,,16,;
        Assem103 = "Settings",,3,0,,,,Param2,,Param3;
        AssemExa104 = "Both",,,0,,,,Assem100,,Assem103;
        AssemExa105 = "As long as said",,Param4,0,,;

[Connection Manager]
        Object_Name = "Connection Manager Object";
        Object_Class_Code = 0x06;
        PITNS = Yes;
        Connection1 =
                0x04010002,             $ exclusive owner, cyclic, class 1
                0x44640405,             $ 32-bit header, modeless
                Param1,,Assem150,
                Param1,4,Assem100,
                ,,
                3,Assem103,
                "Exclusive Owner",
                "Controls the coils",
                "20 04 24 67 2C [Param4] 2C 64";
        Connection2 =
                0x02030003, 0x44640305,
                Param1,0,,
                Param1,,Assem100,
                ,,,,
                "Input Only ", "", "20 04 24 67 2C C6 2C 64";
        Connection3 =
                0x01010002, 0x44240305,
                Param1,0,,
                Param1,,Assem100,
                ,,,,
                "Listen Only","", {20 04 24 67 2C C7 2C 64};

[Capacity]
        ConnOverhead = .004;
        MaxIOConnections = 5;
        MaxMsgConnections = 8;
        TSpec1 = TxRx, 32, 1000;
        TSpec2 = Tx, 500, 100;

[Port]
        Port1 = TCP, "EtherNet/IP port", "20 F5 24 01", 2;
        Port2 = 65520_Backplane, Backplane, 20 66 24 01, 1;

[TCP/IP Interface Class]
        Revision = 4;
        Object_Name = "TCP/IP Interface Object";
        Object_Class_Code = 0xF5;
        MaxInst = 1;
        Number_Of_Static_Instances = 1;
        Max_Number_Of_Dynamic_Instances = 0;

[CIP Security Class]
        Revision = 4;
        MaxInst = 1;
        Class_Services = 0x0E, 0x4E;
        Instance_Services = 0x01, 0x05, 0x0E, 0x4B, 0x4C, 0x4D;

[65520_Secret Sauce]
        65520_Recipe = {1, {2, "three"}}, 04-31-2024, 25:00:00, whatever else;

$ end
`.replace("0b1000_0001", "0b10000001");
